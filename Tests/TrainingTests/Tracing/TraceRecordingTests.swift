import Configuration
import Foundation
import MessagePassing
import Tensors
import Testing

@testable import Training

@Suite("Recording a trace")
struct TraceRecordingTests {
  init() { BLAS.setThreads(1) }

  @Test(
    "Every rank has a lane of spans that nest, with the messages of every layer",
    arguments: ["chain", "gather", "scan"])
  func lanes(exchange: String) throws {
    let ranks = 3
    let run = try SmallRun("training.steps=7", "parallel.exchange=\(exchange)")
    let path = NSTemporaryDirectory() + "lasp-trace-\(UUID().uuidString).json"
    defer { try? FileManager.default.removeItem(atPath: path) }
    _ = try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      let training = try run.make(on: world)
      let recording = try TraceRecording(
        path: path, stepsLeft: 7, world: world, counters: training.context.counters)
      for step in 0..<7 { _ = try recording.step(step + 1) { try training.step(step) } }
      try recording.finish()
    }
    let file = try JSONValue(Data(contentsOf: URL(fileURLWithPath: path)))
    let events = try #require(file["traceEvents"]?.array)
    for rank in 0..<ranks {
      let lane = events.filter { $0["tid"]?.integer == rank }
      #expect(lane.contains { $0["name"]?.string == "thread_name" })
      let spans = lane.filter { $0["ph"]?.string == "X" }
      let steps = spans.filter { $0["name"]?.string?.hasPrefix("step ") == true }
      #expect(steps.map { $0["name"]?.string } == ["step 2", "step 3", "step 4", "step 5"])
      expectNesting(spans)
      // The chain's last rank sends nothing forward, nor its first backward; all others do, in every layer.
      let sends = spans.filter { $0["name"]?.string == "send" }
      for direction in ["forward", "backward"] where rank != (direction == "forward" ? 2 : 0) {
        let layers = sends.filter { $0["args"]?["direction"]?.string == direction }
          .map { $0["args"]?["layer"]?.integer }
        #expect(Set(layers) == [0, 1])
      }
    }
  }

  /// Each span lies inside or after the ones that began before it.
  private func expectNesting(_ spans: [JSONValue]) {
    var open: [Double] = []
    for span in spans {
      guard let start = span["ts"]?.number, let length = span["dur"]?.number else {
        Issue.record("a span without times: \(span)")
        return
      }
      // Microseconds with three digits: their sums round in the last bits of a Double.
      while let end = open.last, end <= start + 1e-4 { open.removeLast() }
      if let end = open.last { #expect(start + length <= end + 1e-4) }
      open.append(start + length)
    }
  }
}
