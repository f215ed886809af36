import Autodiff
import Checkpoints
import Corpora
import Foundation
import MessagePassing
import Models
import SequenceParallel
import Tensors
import Testing

@testable import Training

@Suite("Training with states that are carried from step to step")
struct CarryTrainingTests {
  init() { BLAS.setThreads(1) }

  /// A grid, and what else may change.
  struct Way: Sendable, CustomTestStringConvertible {
    var data = 1
    var sequence = 1
    var more: [String] = []
    var overrides: [String] { ["parallel.data=\(data)"] + more }
    var ranks: Int { data * sequence }
    var testDescription: String { "\(data)×\(sequence) \(more.joined(separator: " "))" }
  }

  private static let ways = [
    Way(more: ["training.accumulation=2"]), Way(sequence: 2), Way(sequence: 3),
    Way(sequence: 4, more: ["training.accumulation=2"]), Way(data: 2), Way(data: 2, sequence: 2),
    Way(data: 2, more: ["training.accumulation=2"]),
    Way(sequence: 3, more: ["parallel.exchange=gather", "parallel.attention=ring"]),
    Way(data: 2, sequence: 3, more: ["parallel.exchange=scan", "parallel.attention=ring"]),
    Way(data: 2, sequence: 2, more: ["sequence.segments=3", "parallel.sharding=parameters"]),
  ]

  @Test(
    "The losses are those of one long pass over each stream, again and again",
    arguments: ["tnl", "gla", "gated_deltanet", "transformer"], ways)
  func streams(mixer: String, way: Way) throws {
    // Four streams of 70 tokens: six windows of 11 each, then they begin again.
    let tokens: [UInt8] = (0..<280).map { UInt8(($0 * $0 + $0 / 7) % 11) }
    let file = try TextFile(tokens)
    let overrides = [
      "data.path=\(file.path)", "data.carry=true", "data.held_out=0", "model.mixer=\(mixer)",
      "sequence.length=11", "training.batch=4", "training.steps=8", "optimizer.learning_rate=1e-12",
    ]
    let results = try SmallRun(overrides + way.overrides).train(ranks: way.ranks)
    let long = try SmallRun(overrides).make(on: SoloCommunicator())
    func loss(through windows: Int) throws -> Double {
      let length = 11 * windows
      let layout = SequenceLayout(shardLengths: [length], rank: 0, rows: 1)
      return try [0, 70, 140, 210].map { start in
        let pass = SequencePass(context: long.context, layout: layout)
        let tape = Tape(
          workspace: long.context.workspace, parameters: long.store, recording: false)
        let inputs = tokens[start..<start + length].map(Int32.init)
        let targets = tokens[start + 1..<start + length + 1].map(Int32.init)
        return try long.model(inputs, targets: targets, tape: tape, pass: pass).1.sum
      }.reduce(0, +)
    }
    let sums = try (0...6).map { $0 == 0 ? 0 : try loss(through: $0) }
    let each = (0..<6).map { (sums[$0 + 1] - sums[$0]) / 44 }
    for result in results {
      #expect(greatestDifference(result.losses, each + each[..<2]) < 1e-5)
    }
  }

  @Test(
    "A checkpoint's streams go on on any grid",
    arguments: ["gated_deltanet", "mom", "transformer"], ways)
  func resume(mixer: String, way: Way) throws {
    let file = try TextFile((0..<600).map { UInt8(($0 * $0 + $0 / 7) % 11) })
    let folder = NSTemporaryDirectory() + "lasp-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let overrides = [
      "data.path=\(file.path)", "data.carry=true", "data.held_out=0", "data.documents=3",
      "model.mixer=\(mixer)", "sequence.length=11", "training.batch=4", "training.steps=9",
      "model.window=15",
    ].filter { mixer == "transformer" || !$0.hasPrefix("model.window") }
    /// The losses from a step on, and a checkpoint before another.
    func losses(from start: Int, checkpointAt: Int?, _ way: Way) throws -> [[Double]] {
      let small = try SmallRun(overrides + way.overrides)
      return try ThreadCommunicator.run(ranks: way.ranks, deadline: 60) { world in
        let run = try small.make(on: world)
        if start > 0 {
          let checkpoint = try #require(try CheckpointFolder(path: folder).latest())
          #expect(checkpoint.state.step == start)
          try run.read(checkpoint)
          try run.readStreams(checkpoint, step: start)
        }
        return try (start..<9).map { step in
          if step == checkpointAt {
            let writer =
              world.rank == 0
              ? try CheckpointWriter(
                TrainingState(step: step, seed: 1, version: "1"), run.checkpointLayout,
                below: folder) : nil
            try run.write(to: writer)
            try run.writeStreams(to: writer, step: step)
            _ = try writer?.finish()
          }
          return try run.step(step).loss
        }
      }
    }
    let other = Way(data: 2, sequence: 2, more: ["parallel.exchange=gather"])
    let whole = try losses(from: 0, checkpointAt: 5, way)
    let same = try losses(from: 5, checkpointAt: nil, way)
    let moved = try losses(from: 5, checkpointAt: nil, other)
    for losses in same { #expect(losses == Array(whole[0][5...])) }
    for losses in moved { #expect(greatestDifference(losses, Array(whole[0][5...])) < 1e-5) }
  }

  @Test("Streams that do not fit are refused with what to do")
  func misfits() throws {
    let file = try TextFile((0..<600).map { UInt8(($0 * $0 + $0 / 7) % 11) })
    let folder = NSTemporaryDirectory() + "lasp-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    func run(_ more: String...) throws -> TrainingRun {
      try SmallRun(
        ["data.path=\(file.path)", "data.carry=true", "sequence.length=11", "training.batch=4"]
          + more
      ).make(on: SoloCommunicator())
    }
    func write(_ run: TrainingRun, streams: Bool) throws -> Checkpoint {
      _ = try run.step(0)
      let writer = try CheckpointWriter(
        TrainingState(step: 1, seed: 1, version: "1"), run.checkpointLayout, below: folder)
      try run.write(to: writer)
      if streams { try run.writeStreams(to: writer, step: 1) }
      return try writer.finish()
    }
    func message(_ run: TrainingRun, _ checkpoint: Checkpoint) -> String {
      do {
        try run.readStreams(checkpoint, step: 1)
        return ""
      } catch { return "\(error)" }
    }
    let without = try write(run(), streams: false)
    #expect(message(try run(), without).contains("data.carry=false"))
    try FileManager.default.removeItem(atPath: without.path)
    let whole = try write(run(), streams: true)
    #expect(message(try run(), whole).isEmpty)
    #expect(message(try run("training.batch=2"), whole).contains("training.batch"))
    #expect(message(try run("sequence.length=10"), whole).contains("sequence.length"))
  }

  @Test("Recomputing changes no bit of a run with carries", arguments: [1, 3])
  func recompute(ranks: Int) throws {
    let file = try TextFile((0..<400).map { UInt8(($0 * $0 + $0 / 7) % 11) })
    func train(_ recompute: Bool) throws -> [SmallRun.Result] {
      try SmallRun(
        "data.path=\(file.path)", "data.carry=true", "data.documents=7", "sequence.length=20",
        "training.steps=6", "training.recompute=\(recompute)"
      ).train(ranks: ranks)
    }
    #expect(try train(true) == train(false))
  }
}
