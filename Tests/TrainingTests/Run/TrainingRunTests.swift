import DataParallel
import Foundation
import MessagePassing
import Tensors
import Testing

@testable import Checkpoints
@testable import Training

@Suite("Training on any grid of ranks")
struct TrainingRunTests {
  init() { BLAS.setThreads(1) }

  @Test("A run has the same loss at every step, however many ranks share a sequence")
  func ranks() throws {
    let run = try SmallRun()
    let alone = try run.train(ranks: 1)[0]
    #expect(alone.losses.last! < alone.losses[0])
    for ranks in [2, 4, 8] {
      let results = try run.train(ranks: ranks)
      #expect(greatestDifference(results[0].losses, alone.losses) < 1e-5, "\(ranks) ranks")
      for result in results { #expect(result.weights == results[0].weights, "\(ranks) ranks") }
    }
  }

  @Test(
    "A run has the same loss at every step on any grid",
    arguments: [(2, 2), (1, 4), (4, 1), (2, 4)])
  func grids(sequence: Int, data: Int) throws {
    let alone = try SmallRun("training.steps=20").train(ranks: 1)[0]
    let run = try SmallRun(
      "training.steps=20", "parallel.sequence=\(sequence)", "parallel.data=\(data)")
    for result in try run.train(ranks: sequence * data) {
      #expect(greatestDifference(result.losses, alone.losses) < 1e-5)
      #expect(greatestDifference(result.norms, alone.norms) < 1e-5)
    }
  }

  @Test("A batch in four micro-batches gives what it gives in one", arguments: [1, 2])
  func accumulation(ranks: Int) throws {
    let whole = try SmallRun("training.steps=20").train(ranks: ranks)[0]
    let microBatches = try SmallRun("training.steps=20", "training.accumulation=4")
      .train(ranks: ranks)[0]
    #expect(greatestDifference(microBatches.losses, whole.losses) < 1e-6)
    #expect(greatestDifference(microBatches.norms, whole.norms) < 1e-6)
  }

  @Test("Recomputing activations changes no bit", arguments: [1, 3])
  func recompute(ranks: Int) throws {
    let kept = try SmallRun("training.steps=5").train(ranks: ranks)
    let again = try SmallRun("training.steps=5", "training.recompute=true").train(ranks: ranks)
    #expect(kept == again)
  }

  @Test("The same run twice is bitwise equal", arguments: [1, 2, 4])
  func repeats(ranks: Int) throws {
    let run = try SmallRun("training.steps=10", "training.accumulation=2")
    #expect(try run.train(ranks: ranks) == run.train(ranks: ranks))
  }

  @Test("Ranks without a token change nothing")
  func emptyShards() throws {
    let run = try SmallRun(
      "training.steps=10", "sequence.length=6", "data.recall_keys=1", "model.depth=3",
      "data.recall_key_fraction=0.34", "data.recall_query_fraction=1")
    let alone = try run.train(ranks: 1)[0]
    for result in try run.train(ranks: 8) {
      #expect(greatestDifference(result.losses, alone.losses) < 1e-5)
    }
  }

  @Test("The bytes of a step are those of the formulas", arguments: [1, 2, 4])
  func bytes(ranks: Int) throws {
    let run = try SmallRun("training.steps=1")
    // Two blocks, four rows, two heads of states of 8 × 8.
    let state = 4 * 2 * 4 * 2 * 8 * 8
    let results = try run.train(ranks: ranks)
    for (rank, result) in results.enumerated() {
      let directions = (rank < ranks - 1 ? 1 : 0) + (rank > 0 ? 1 : 0)
      #expect(result.stateBytes == state * directions)
    }
    let all = results.reduce(0) { $0 + $1.gradientBytes }
    #expect(all == 2 * (ranks - 1) * 4 * results[0].parameters)
  }

  @Test(
    "A run that goes on from a checkpoint is bitwise the one that went through",
    arguments: ["adamw", "lion", "muon"])
  func resumes(rule: String) throws {
    let folder = NSTemporaryDirectory() + "lasp-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let small = try SmallRun("training.steps=6", "optimizer.name=\(rule)")
    let through = try small.train(ranks: 2)
    let resumed = try ThreadCommunicator.run(ranks: 2, deadline: 60) { world in
      let first = try small.make(on: world)
      for step in 0..<3 { _ = try first.step(step) }
      let writer =
        world.rank == 0
        ? try CheckpointWriter(
          TrainingState(step: 3, seed: 1, version: "test", rule: rule),
          first.checkpointLayout, below: folder) : nil
      try first.write(to: writer)
      _ = try writer?.finish()
      try world.synchronize(for: "the checkpoint")
      let second = try small.make(on: world)
      let checkpoint = try #require(try CheckpointFolder(path: folder).latest())
      #expect(try second.read(checkpoint) == 0)
      #expect(checkpoint.state == TrainingState(step: 3, seed: 1, version: "test", rule: rule))
      let losses = try (3..<6).map { try second.step($0).loss }
      return (losses, second.weights)
    }
    for (resumed, through) in zip(resumed, through) {
      #expect(resumed.0 == Array(through.losses[3...]))
      #expect(resumed.1 == through.weights)
    }
  }
}
