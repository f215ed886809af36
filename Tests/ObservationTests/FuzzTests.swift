import Foundation
import LogFixtures
import Mutations
import Reporting
import Testing

@testable import Observation

@Suite("Damaged files: logs of runs")
struct LogFuzzTests {
  @Test("Whatever a log has become, it is read, and the next run goes on in it with whole lines")
  func logs() throws {
    let fixture = try LogFixture()
    let path = fixture.files.file("log.jsonl")
    let log = try RunLog(path: path)
    var start = LogFixture.start()
    (start.hosts, start.sequenceRanks) = (["node1", "node2"], 2)
    try log.start(start)
    for step in 0..<3 { try log.step(LogFixture.step(step, loss: 1.5)) }
    try log.end(reason: "finished", steps: 3, seconds: 1)
    let original = Array(try fixture.files.read("log.jsonl"))
    let failures = Fuzzing("log.jsonl", .text, [original]).run {
      try fixture.files.write("log.jsonl", Data($0))
      try RunLog(path: path).warning("goes on")
      let last = try fixture.files.text("log.jsonl").split(separator: "\n").last
      #expect(last?.contains("goes on") == true)
      let record = try LogFollower.read(run: path)
      #expect(record.notes.last?.text == "goes on")
    }
    #expect(failures == [])
  }
}
