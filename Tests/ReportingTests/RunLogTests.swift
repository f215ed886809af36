import Configuration
import Foundation
import Files
import LogFixtures
import Testing

@testable import Reporting

@Suite("The log")
struct RunLogTests {
  private let fixture: LogFixture

  init() throws { fixture = try LogFixture() }

  private func log() throws -> RunLog { try RunLog(path: fixture.files.file("log.jsonl")) }

  @Test("The start holds all that a script needs to understand the steps")
  func start() throws {
    try log().start(LogFixture.start(steps: 7))
    let event = try #require(try fixture.events().first)
    #expect(event["event"] == "start")
    #expect(event["version"] == .string(Release.version))
    #expect(event["hosts"] == ["node1", "node1", "node2"])
    #expect(event["launch_ranks"] == [0, 1, 2])
    #expect(
      event["placement"] == [
        ["host": "node1", "ranks": [0, 1], "sequence_groups": [0, 0]],
        ["host": "node2", "ranks": [2, 2], "sequence_groups": [0, 0]],
      ])
    #expect(event["ranks"] == 3)
    #expect(event["threads"] == 2)
    #expect(event["parallel_threads"] == 4)
    #expect(event["grid"] == ["sequence": 3, "data": 1])
    #expect(event["shard_lengths"] == [170, 171, 171])
    #expect(event["parameters"] == 123_456)
    #expect(event["trainable_parameters"] == 123_456)
    #expect(event["tokens_per_step"] == 8192)
    #expect(event["expected_memory_bytes"] == 209_715_200)
    #expect(event["blas_core"] == "Haswell")
    #expect(event["configuration"]?["training"]?["steps"] == 7)
    let time = try #require(event["time"]?.string)
    let date = try Date(time, strategy: .iso8601)
    #expect(abs(date.timeIntervalSinceNow) < 60)
  }

  @Test("A step has its number from 1, its figures, and those of each rank in rank order")
  func step() throws {
    try log().step(LogFixture.step(4), chance: 0.25)
    let event = try #require(try fixture.events().first)
    #expect(event["step"] == 5)
    #expect(event["tokens"] == 8192)
    #expect(event["tokens_per_second"]?.number == 16384)
    #expect(event["gigaflops"]?.number == 200)
    #expect(event["grad_norm"]?.number == 0.8123)
    #expect(event["learning_rate"]?.number == 0.005)
    #expect(event["recall_inside"]?.number == 0.25)
    #expect(event["recall_crossing"]?.number == 1)
    #expect(event["recall_chance"]?.number == 0.25)
    #expect(event["compute_seconds"]?.array?.map(\.number) == [0.4, 0.35])
    #expect(event["state_wait_seconds"]?.array?.map(\.number) == [0, 0.05])
    #expect(event["state_bytes_sent"] == [4096, 0])
    #expect(event["peak_memory_bytes"] == [104_857_600, 220_200_960])
    for key in ["reduce_seconds", "data_seconds", "halo_bytes_sent", "gradient_bytes_sent"] {
      #expect(event[key]?.array?.count == 2, "\(key)")
    }
  }

  @Test("A summary of the ranks has the same keys, and a length that does not grow with them")
  func summary() throws {
    try RunLog(path: fixture.files.file("log.jsonl"), ranks: .summary).step(LogFixture.step(4))
    let event = try #require(try fixture.events().first)
    #expect(
      event["state_wait_seconds"] == [
        "mean": 0.025, "least": 0.0, "least_rank": 0, "median": 0.025, "most": 0.05, "most_rank": 1,
      ])
    #expect(event["state_bytes_sent"]?["most"] == 4096)
    #expect(event["peak_memory_bytes"]?["most_rank"] == 1)
    #expect(abs((event["reduction_hidden"]?.number ?? 0) - 0.8) < 1e-12)
  }

  @Test("A timeline that has been written is told with its steps")
  func trace() throws {
    try log().trace(2...5, path: "trace.json")
    let event = try #require(try fixture.events().first)
    #expect(event["event"] == "trace" && event["steps"] == [2, 5] && event["path"] == "trace.json")
  }

  @Test(
    "A loss reads back as the same number",
    arguments: [0.1 + 0.2, 1.386_294_361_119_890_6, 1e-300, 12_345_678.9])
  func precision(loss: Double) throws {
    let report = LogFixture.step(0, loss: loss, recall: false)
    try log().step(report)
    #expect(try fixture.events().first?["loss"]?.number == loss)
  }

  @Test("What is no number is null", arguments: [Double.nan, .infinity, -.infinity])
  func notFinite(loss: Double) throws {
    try log().step(LogFixture.step(0, loss: loss))
    #expect(try fixture.events().first?["loss"] == .null)
  }

  @Test("Only the recall task has recall; what nobody asked has none")
  func recall() throws {
    let log = try log()
    try log.step(LogFixture.step(0))
    try log.step(LogFixture.step(1, recall: false), chance: 0.25)
    let events = try fixture.events()
    #expect(events[0].object?.keys.contains { $0.hasPrefix("recall") } == false)
    #expect(events[1]["recall_crossing"] == .null)
  }

  @Test("An evaluation has the perplexity, and bits per byte where the bytes are known")
  func evaluation() throws {
    let log = try log()
    var sums = LossSums(loss: log2(8) * 16 * 0.693_147_180_559_945_3, targets: 16)
    sums.bytes = 64
    try log.evaluation(EvaluationReport(step: 100, sums: sums, seconds: 1.5))
    sums.bytes = 0
    try log.evaluation(EvaluationReport(step: 100, sums: sums, seconds: 1.5))
    let events = try fixture.events()
    #expect(events[0]["step"] == 100)
    #expect(events[0]["tokens"] == 16)
    #expect(events[0]["seconds"]?.number == 1.5)
    #expect(abs((events[0]["bits_per_byte"]?.number ?? 0) - 0.75) < 1e-12)
    #expect(events[0]["bytes"] == 64)
    for event in events { #expect(abs((event["perplexity"]?.number ?? 0) - 8) < 1e-12) }
    #expect(events[1]["bits_per_byte"] == nil && events[1]["bytes"] == nil)
  }

  @Test("Texts of any kind stay one line")
  func texts() throws {
    let log = try log()
    let message = "a \"quoted\" path C:\\x\nand a second line\u{1}, é"
    try log.warning(message)
    try log.end(reason: message, steps: 3, seconds: 1)
    let events = try fixture.events()
    #expect(events.map { $0["event"] } == ["warning", "end"])
    #expect(events[0]["message"] == .string(message))
    #expect(events[1]["reason"] == .string(message))
    #expect(events[1]["steps"] == 3)
  }

  @Test("A log that goes on keeps its lines and drops one that was cut")
  func appended() throws {
    try log().warning("first")
    let whole = try fixture.files.text("log.jsonl")
    try fixture.files.write("log.jsonl", whole + "{\"event\":\"st")
    try log().warning("second")
    #expect(try fixture.events().map { $0["message"] } == ["first", "second"])
  }

  @Test("A full disk is one sentence with a cure")
  func full() throws {
    let log = try log()
    // What the log has open becomes a device that is always full.
    let full = open("/dev/full", O_RDWR)
    let place = URL(fileURLWithPath: log.path).resolvingSymlinksInPath().path
    let opened = (3..<1024).first {
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)")) == place
    }
    dup2(full, Int32(try #require(opened)))
    close(full)
    #expect {
      try log.warning("lost")
    } throws: {
      "\($0)" == "cannot write \(log.path): No space left on device; "
        + "free space there or write to another disk"
    }
  }

  @Test("What is minimised beside the loss has its weight and its mean, by name")
  func terms() throws {
    try log().step(LogFixture.step(0, loss: 2, recall: false))
    let event = try #require(try fixture.events().first)
    #expect(event["loss"] == 2)
    #expect(event["terms"] == ["z_loss": ["weight": 0.001, "mean": 12.5]])
  }

  @Test("Docs/Log.md names every field of every event, and its examples have no others")
  func documented() throws {
    let log = try log()
    try log.start(LogFixture.start())
    try log.step(LogFixture.step(0), chance: 0.25)
    try log.step(LogFixture.step(1, recall: false))
    for bytes in [16, 0] {
      try log.evaluation(
        EvaluationReport(
          step: 1, sums: LogFixture.sums(bytes: bytes), seconds: 1, recallChance: 0.25))
    }
    try log.checkpoint(step: 1, path: "runs/a/checkpoints/step-1", seconds: 1, stall: 0.25)
    try log.stage(
      StageEvent(
        number: 2, stages: 2, kind: "finetune", step: 1, start: 1, steps: 9, learningRate: 1e-3,
        parameters: 8, frozenParameters: 3, reason: nil))
    try log.resume(step: 1, path: "runs/a/checkpoints/step-1", changes: ["training.steps 1 → 2"])
    for cause in [
      SkippedStep.Cause.loss(rank: 1, host: "n", sequences: 0..<2), .gradient(tensor: "w"), .sum,
    ] {
      try log.skip(SkippedStep(step: 1, cause: cause, batch: 4, inARow: 1))
    }
    var spike = Spike(
      quantity: "loss", value: 2, median: 1, score: 9, action: "rewind", inARow: 1)
    spike.goBack(to: 1)
    try log.spike(spike, step: 2)
    try log.trace(2...5, path: "trace.json")
    try log.warning("w")
    try log.end(reason: "finished", steps: 1, seconds: 1)
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let page = try String(contentsOf: root.appending(path: "Docs/Log.md"), encoding: .utf8)
    let events = try fixture.events()
    for key in events.flatMap({ $0.object?.keys.map { $0 } ?? [] }) {
      #expect(page.contains("| `\(key)` |"), "\(key)")
    }
    let examples = try page.split(separator: "\n").filter { $0.hasPrefix("{") }
      .map { try JSONValue(Data($0.utf8)) }
    #expect(examples.count == 11)
    for example in examples {
      let fields = Set(example.object?.keys.map { $0 } ?? [])
      #expect(
        events.contains {
          $0["event"] == example["event"] && fields.isSubset(of: $0.object?.keys.map { $0 } ?? [])
        }, "\(fields)")
    }
  }
}
