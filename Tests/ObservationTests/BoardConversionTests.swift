import Foundation
import LogFixtures
import Reporting
import TemporaryFolders
import Testing

@testable import Observation
@testable import TensorBoard

@Suite("Logs made into TensorBoard's event files")
struct BoardConversionTests {
  @Test(
    "The file has the steps of the log once each, with its evaluations, and takes the place of an older one"
  )
  func converted() throws {
    let files = try TemporaryFolder()
    let log = try RunLog(path: "\(files.path)/log.jsonl")
    try log.start(LogFixture.start(steps: 4))
    for step in 0..<3 { try log.step(LogFixture.step(step, loss: 3)) }
    var start = LogFixture.start(steps: 4)
    start.stepsDone = 2
    try log.start(start)
    for step in 2..<4 { try log.step(LogFixture.step(step, loss: 1)) }
    try log.evaluation(
      EvaluationReport(step: 4, sums: LogFixture.sums(bytes: 16), seconds: 1))
    for _ in 0..<2 {
      let (path, steps) = try BoardConversion.write(run: files.path)
      #expect(steps == 4)
      let records = RecordFile.records(try Data(contentsOf: URL(fileURLWithPath: path)))
      let events = try records.map { try EventRecord(serializedBytes: $0.data) }
      func values(_ tag: String) -> [Int64: Float] {
        var values: [Int64: Float] = [:]
        for event in events {
          for value in event.summary.value where value.tag == tag {
            #expect(values[event.step] == nil)
            values[event.step] = value.simpleValue
          }
        }
        return values
      }
      #expect(values("loss/train") == [1: 3, 2: 3, 3: 1, 4: 1])
      #expect(values("wait_for_states/rank_01") == [1: 0.1, 2: 0.1, 3: 0.1, 4: 0.1])
      #expect(values("loss/held_out").keys.map { $0 } == [4])
      #expect(events.contains { $0.summary.value.first?.tag == "run file" })
    }
  }
}
