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
    let events = try record(["parallel.exchange=\(exchange)"], ranks: ranks, steps: 7)
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

  /// A run, and what its messages carry; some of them go from one rank to one other.
  struct Way: Sendable, CustomTestStringConvertible {
    let overrides: [String]
    let contents: Set<String>
    var ranks = 3
    var hasArrows = true
    var testDescription: String { overrides.joined(separator: " ") }

    static let all = [
      Way(overrides: ["training.accumulation=2"], contents: ["states", "gradients"]),
      Way(overrides: ["parallel.exchange=scan"], contents: ["states", "gradients"]),
      Way(
        overrides: ["parallel.exchange=gather"], contents: ["states", "gradients"],
        hasArrows: false),
      Way(
        overrides: ["model.mixer=gated_deltanet", "parallel.sequence=2"],
        contents: ["states", "halo", "gradients"], ranks: 4),
      Way(
        overrides: ["model.mixer=transformer"], contents: ["keys", "gradients"], hasArrows: false),
      Way(
        overrides: ["model.mixer=transformer", "parallel.attention=ring"],
        contents: ["keys", "gradients"]),
      Way(
        overrides: ["model.mixer=transformer", "model.window=25"], contents: ["keys", "gradients"]),
      Way(
        overrides: ["sequence.segments=3", "sequence.carry_bytes=0"],
        contents: ["states", "carry", "gradients"]),
      Way(
        overrides: ["parallel.sharding=optimizer"], contents: ["states", "gradients", "weights"]),
      Way(
        overrides: ["parallel.sharding=parameters", "parallel.transport=bf16"],
        contents: ["states", "gradients", "weights"]),
    ]
  }

  @Test(
    "What crosses ranks is named where it is sent and where it is taken, with arrows between",
    arguments: Way.all)
  func messages(_ way: Way) throws {
    let events = try record(way.overrides, ranks: way.ranks, steps: 3)
    let spans = events.filter { $0["ph"]?.string == "X" }
    let ends = ["send", "receive"].map { name in spans.filter { $0["name"]?.string == name } }
    for messages in ends {
      #expect(Set(messages.map { $0["args"]?["what"]?.string }) == way.contents)
      #expect(messages.allSatisfy { $0["args"]?["bytes"]?.integer != nil })
    }
    for rank in 0..<way.ranks { expectNesting(spans.filter { $0["tid"]?.integer == rank }) }
    let arrows = zip(["s", "f"], ends).map { phase, messages in
      let places = Dictionary(grouping: messages, by: place)
      let arrows = events.filter { $0["ph"]?.string == phase }
      return Dictionary(grouping: arrows) { $0["id"]?.integer }.mapValues { arrows in
        // A message has an arrow of its own, which touches one end of it.
        #expect(arrows.count == 1)
        return places[place(arrows[0])] ?? []
      }
    }
    #expect(arrows[0].isEmpty != way.hasArrows)
    #expect(Set(arrows[0].keys) == Set(arrows[1].keys))
    for (id, sent) in arrows[0] {
      let (sent, taken) = (try #require(sent.first), try #require(arrows[1][id]?.first))
      #expect(sent["args"] == taken["args"])
      #expect(sent["tid"]?.integer != taken["tid"]?.integer)
      let (start, end) = (sent["ts"]?.number ?? .infinity, taken["ts"]?.number ?? 0)
      #expect(start < end + (taken["dur"]?.number ?? 0))
    }
  }

  private func place(_ event: JSONValue) -> String {
    "\(event["tid"]?.integer ?? -1) at \(event["ts"]?.number ?? -1)"
  }

  @Test("Passes say which segment they work on, where there are several")
  func segments() throws {
    func passes(_ count: Int) throws -> Set<String> {
      let spans = try record(["sequence.segments=\(count)"], ranks: 2, steps: 2)
      return Set(spans.compactMap { $0["name"]?.string }).filter { $0.contains("ward") }
    }
    #expect(try passes(1) == ["forward", "backward"])
    #expect(
      try passes(2) == [
        "forward, segment 0", "forward, segment 1", "backward, segment 0", "backward, segment 1",
      ])
  }

  /// The events of a run's trace.
  private func record(_ overrides: [String], ranks: Int, steps: Int) throws -> [JSONValue] {
    let run = try SmallRun(["training.steps=\(steps)"] + overrides)
    let path = NSTemporaryDirectory() + "lasp-trace-\(UUID().uuidString).json"
    defer { try? FileManager.default.removeItem(atPath: path) }
    _ = try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      let training = try run.make(on: world)
      let recording = try TraceRecording(
        path: path, stepsLeft: steps, world: world, counters: training.context.counters)
      for step in 0..<steps { _ = try recording.step(step + 1) { try training.step(step) } }
      try recording.finish()
      try training.store.settle(polling: training.context.workspace.poll)
    }
    let file = try JSONValue(Data(contentsOf: URL(fileURLWithPath: path)))
    return try #require(file["traceEvents"]?.array)
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
