import Foundation
import Measurement
import Testing

@testable import Training

@Suite("Trace files")
struct TraceFileTests {
  @Test("A file has a named lane for each rank, and times in microseconds from its zero")
  func file() throws {
    let trace = Trace()
    trace.add(
      "send", from: 6_000, to: 6_250,
      message: Trace.Message(
        .states(layer: 1), direction: "backward", bytes: 4_160, arrow: .tail(17)))
    trace.add(
      "receive", from: 7_500, to: 8_000,
      message: Trace.Message(.weights(unit: 4), direction: nil, bytes: 8, arrow: .head(18)))
    trace.add("recurrence", from: 5_500, to: 7_000)
    let text = Trace.file(lanes: [trace.events(rank: 3, name: "rank 3 (a\"b)", zero: 5_000)])
    let file = try #require(
      JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    let events = try #require(file["traceEvents"] as? [[String: Any]])
    let names = events.filter { $0["name"] as? String == "thread_name" }
    #expect((names.first?["args"] as? [String: String])?["name"] == "rank 3 (a\"b)")
    let spans = events.filter { $0["ph"] as? String == "X" }
    #expect(spans.map { $0["name"] as? String } == ["recurrence", "send", "receive"])
    #expect(spans.map { $0["ts"] as? Double } == [0.5, 1, 2.5])
    #expect(spans.map { $0["dur"] as? Double } == [1.5, 0.25, 0.5])
    #expect(spans.allSatisfy { $0["tid"] as? Int == 3 && $0["pid"] as? Int == 0 })
    let message = try #require(spans[1]["args"] as? [String: Any])
    #expect(message["what"] as? String == "states")
    #expect(message["layer"] as? Int == 1)
    #expect(message["direction"] as? String == "backward")
    #expect(message["bytes"] as? Int == 4_160)
    let weights = try #require(spans[2]["args"] as? [String: Any])
    #expect(weights["what"] as? String == "weights" && weights["unit"] as? Int == 4)
    #expect(weights["direction"] == nil)
    let arrows = events.filter { $0["cat"] as? String == "message" }
    #expect(arrows.map { $0["ph"] as? String } == ["s", "f"])
    #expect(arrows.map { $0["id"] as? Int } == [17, 18])
    #expect(arrows.map { $0["ts"] as? Double } == [1, 2.5])
  }

  @Test(
    "What lies between the parts of a step or a pass is called other; a part and a message have no gaps"
  )
  func gaps() {
    let trace = Trace()
    for (name, start, end) in [
      ("recurrence", 1_000, 3_000), ("head", 3_500, 5_000), ("forward", 1_000, 9_000),
      ("state wait", 10_000, 12_000), ("step 1", 0, 20_000),
    ] as [(String, UInt64, UInt64)] {
      trace.add(name, from: start, to: end)
    }
    let ordered = trace.spans.sorted { ($0.start, $1.end) < ($1.start, $0.end) }
    let others = Trace.filled(ordered).filter { $0.name == "other" }
    #expect(others.map(\.start) == [0, 5_000, 9_000, 12_000])
    #expect(others.map(\.end) == [1_000, 9_000, 10_000, 20_000])
  }
}
