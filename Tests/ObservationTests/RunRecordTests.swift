import Foundation
import LogFixtures
import Reporting
import TemporaryFolders
import Testing

@testable import Observation

@Suite("A run's log, read back")
struct RunRecordTests {
  private let files: TemporaryFolder
  private var path: String { "\(files.path)/log.jsonl" }

  init() throws { files = try TemporaryFolder() }

  private func start(done: Int = 0) -> StartEvent {
    var start = LogFixture.start(steps: 6)
    start.stepsDone = done
    return start
  }

  private func write(_ ranks: RankDetail = .all, _ body: (RunLog) throws -> Void) throws {
    try body(RunLog(path: path, ranks: ranks))
  }

  @Test("Everything that a log tells is there")
  func whole() throws {
    try write { log in
      try log.start(start())
      try log.step(LogFixture.step(0, loss: 3, recall: false))
      try log.step(LogFixture.step(1, loss: 2), chance: 0.25)
      try log.evaluation(
        EvaluationReport(step: 2, sums: LogFixture.sums(bytes: 16), seconds: 1))
      try log.warning("slow disk")
      try log.trace(2...5, path: "trace.json")
      try log.end(reason: "finished", steps: 2, seconds: 9, causes: ["no core"])
    }
    let record = try LogFollower.read(run: files.path + "/")
    #expect(record.start?.ranks == 3 && record.start?.sequenceRanks == 3)
    #expect(record.start?.expectedMemory == 200 << 20)
    #expect(record.start?.keys == ["training.steps": "6"])
    #expect(record.steps.map(\.number) == [1, 2])
    #expect(record.steps[0].loss == 3 && record.steps[0].terms == ["z_loss": 0.0125])
    #expect(record.steps[1].recallInside == 0.25 && record.steps[1].recallCrossing == 1)
    #expect(record.steps[1].stateWait.values == [0, 0.05])
    #expect(abs(record.steps[1].unnamed - 0.1) < 1e-12)
    #expect(abs((record.evaluations.first?.bitsPerByte ?? 0) - 2) < 1e-12)
    #expect(record.notes.map(\.text) == ["slow disk", "no core"])
    #expect(record.notes.map(\.kind) == ["warning", "slow"])
    #expect(record.trace == "trace.json")
    #expect(record.end?.reason == "finished")
  }

  @Test(
    "A summary of the ranks tells the least, the median and the most, and which ranks have them")
  func summary() throws {
    try write(.summary) { log in
      try log.start(start())
      try log.step(LogFixture.step(0))
    }
    let figure = try #require(try LogFollower.read(run: files.path).steps.first?.compute)
    #expect(figure.values.isEmpty)
    #expect((figure.least, figure.median, figure.most) == (0.35, 0.375, 0.4))
    #expect((figure.leastRank, figure.mostRank) == (1, 0))
    #expect(RankSummary([3, 1, 2])?.median == 2)
  }

  @Test("Steps that a run does anew after a checkpoint stand once, as they were done last")
  func resumed() throws {
    try write { log in
      try log.start(start())
      for step in 0..<4 { try log.step(LogFixture.step(step, loss: 3)) }
      try log.evaluation(
        EvaluationReport(step: 4, sums: LogFixture.sums(bytes: 16), seconds: 1))
      try log.end(reason: "stopped by a signal", steps: 4, seconds: 1)
      try log.start(start(done: 2))
    }
    var record = try LogFollower.read(run: files.path)
    #expect(record.steps.map(\.number) == [1, 2])
    #expect(record.evaluations.isEmpty && record.end == nil)
    try write { try $0.step(LogFixture.step(2, loss: 1)) }
    record = try LogFollower.read(run: files.path)
    #expect(record.steps.map(\.loss) == [3, 3, 1])
  }

  @Test(
    "A log that is not there yet, grows, has a line that is not whole, and is replaced, is followed"
  )
  func followed() throws {
    var follower = LogFollower(run: files.path)
    #expect(try !follower.poll())
    try write { try $0.start(start()) }
    #expect(try follower.poll())
    #expect(follower.record.start != nil && follower.record.steps.isEmpty)
    try write { try $0.step(LogFixture.step(0)) }
    var seen = 0
    try follower.poll { _ in seen += 1 }
    #expect(seen == 1 && follower.record.steps.count == 1)

    let handle = try #require(FileHandle(forWritingAtPath: path))
    try handle.seekToEnd()
    try handle.write(contentsOf: Data("{\"event\":\"war".utf8))
    try follower.poll()
    #expect(follower.record.notes.isEmpty && follower.record.oddLines == 0)
    try handle.write(contentsOf: Data("ning\",\"message\":\"late\"}\nno event\n".utf8))
    try follower.poll()
    #expect(follower.record.notes.map(\.text) == ["late"] && follower.record.oddLines == 1)

    try FileManager.default.removeItem(atPath: path)
    try write { try $0.start(start()) }
    try follower.poll()
    #expect(follower.record.steps.isEmpty && follower.record.notes.isEmpty)
  }

  @Test("A glance at a log, however long it is, tells how the run began and how it stands")
  func glance() throws {
    #expect(try LogFollower.glance(run: files.path).lastTime == nil)
    try write { log in
      try log.start(start())
      for step in 0..<400 { try log.step(LogFixture.step(step)) }
    }
    let whole = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
    #expect(try #require(whole) > 1 << 17)
    var record = try LogFollower.glance(run: files.path)
    #expect(record.start?.parameters == 123_456 && record.end == nil && record.oddLines == 0)
    #expect(record.steps.last?.number == 400 && record.steps.count < 400)
    try write { try $0.end(reason: "finished", steps: 400, seconds: 9) }
    record = try LogFollower.glance(run: files.path)
    #expect(record.end?.reason == "finished")
    // As short as it gets.
    try FileManager.default.removeItem(atPath: path)
    try write { try $0.start(start()) }
    record = try LogFollower.glance(run: files.path)
    #expect(record.start != nil && record.steps.isEmpty)
  }

  @Test("What is no run is told")
  func none() {
    #expect(throws: ObservationError.noLog("\(files.path)/log.jsonl")) {
      try LogFollower.read(run: files.path)
    }
  }

  @Test("Times are read as UTC")
  func moment() {
    #expect(Moment.seconds("2026-11-21T08:42:13Z") == 1_795_250_533)
    #expect(Moment.seconds(nil) == 0 && Moment.seconds("soon") == 0)
  }

  @Test("A run that is followed looks as its own console does")
  func view() throws {
    try write { log in
      try log.start(start())
      try log.step(LogFixture.step(0, recall: false))
      try log.warning("slow disk")
      try log.end(reason: "finished", steps: 1, seconds: 9)
    }
    let lines = Lines()
    try Watch.follow(run: files.path, output: TerminalOutput { lines.add($0) })
    #expect(lines.all.contains { $0.hasPrefix("  1/6  1.3863") })
    #expect(lines.all.contains("warning: slow disk"))
    #expect(lines.all.contains("finished after 1 step in 0:09"))
  }
}

/// Lines that were printed.
final class Lines: @unchecked Sendable {
  private let lock = NSLock()
  private var lines: [String] = []

  var all: [String] { lock.withLock { lines } }

  func add(_ line: String) { lock.withLock { lines.append(line) } }
}
