import LogFixtures
import Reporting
import Testing

@testable import Studies

@Suite("A run's log, read back")
struct JobLogTests {
  /// What the real log writes: a start, some steps and an end.
  private func written(steps: Int, ends: Bool = true) throws -> (JobLog, LogFixture) {
    let fixture = try LogFixture()
    let log = try RunLog(path: fixture.files.file("log.jsonl"))
    var start = LogFixture.start()
    (start.hosts, start.sequenceRanks) = (["node1", "node2"], 2)
    try log.start(start)
    for step in 0..<steps { try log.step(LogFixture.step(step, loss: 2 / Double(step + 3))) }
    try log.warning("odd")
    if ends { try log.end(reason: "finished", steps: steps, seconds: 1) }
    return (try JobLog(path: log.path), fixture)
  }

  @Test("It has what the run wrote, every digit of the losses included")
  func whole() throws {
    let (log, _) = try written(steps: 3)
    #expect(log.start.hosts == ["node1", "node2"])
    #expect(log.start.threads == 2 && log.start.parallelThreads == 4)
    #expect(log.start.sequenceRanks == 2 && log.start.dataGroups == 1)
    #expect(log.start.parameters == 123_456 && log.start.blasCore == "Haswell")
    #expect(log.steps.map(\.number) == [1, 2, 3])
    #expect(log.steps.map(\.loss) == [2.0 / 3, 0.5, 0.4])
    #expect(log.steps[0].stateWait == [0, 0.05])
    #expect(log.steps[0].stateBytes == [4096, 0])
    #expect(log.end == "finished")
  }

  @Test("A run that was killed has no end, and what a power cut left of a line is passed over")
  func killed() throws {
    let (log, fixture) = try written(steps: 2, ends: false)
    #expect(log.end == nil)
    let cut = try fixture.files.text("log.jsonl") + "{\"event\":\"step\",\"st"
    #expect(try JobLog(text: cut, path: "log") == log)
  }

  @Test("Steps of a run that went on replace those of the same number")
  func goesOn() throws {
    let (_, fixture) = try written(steps: 3)
    let text = try fixture.files.text("log.jsonl")
    let again = text.split(separator: "\n").filter { $0.contains("\"step\":2,") }[0]
      .replacing("0.5,", with: "0.25,")
    let log = try JobLog(text: text + again + "\n", path: "log")
    #expect(log.steps.map(\.loss) == [2.0 / 3, 0.25, 0.4])
  }

  @Test(
    "What is no log is refused with its place",
    arguments: [
      ("", "log: it has no start event"),
      ("{\"event\":\"end\"}\n", "log: it has no start event"),
      ("nonsense\n", "log: line 1 is not JSON"),
      ("{\"event\":\"start\",\"version\":1}\n", "log: line 1 has no 'version' of the right kind"),
      ("{\"event\":\"step\",\"step\":1}\n", "log: line 1 has no 'seconds' of the right kind"),
    ])
  func refused(text: String, sentence: String) {
    #expect {
      try JobLog(text: text, path: "log")
    } throws: {
      "\($0)" == sentence
    }
  }

  @Test("A log that is not there is named")
  func missing() {
    #expect(throws: JobError.self) { try JobLog(path: "/nowhere/log.jsonl") }
  }
}
