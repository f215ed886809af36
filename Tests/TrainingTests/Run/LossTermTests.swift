import Foundation
@testable import MessagePassing
import Reporting
import TemporaryFolders
import Tensors
import Testing

@testable import Training

@Suite("Terms of the loss, and losses that are not there")
struct LossTermTests {
  init() { BLAS.setThreads(1) }

  /// Losses, the z-loss's means and gradient norms of two steps, the same on all ranks.
  private static func steps(_ overrides: [String], ranks: Int) throws -> [[Double]] {
    let small = try SmallRun(
      ["training.z_loss=0.01", "training.steps=2", "model.init_std=0.5"] + overrides)
    let all = try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      let run = try small.make(on: world)
      return try (0..<2).map { step in
        let outcome = try run.step(step)
        let term = try #require(outcome.sums.terms.first)
        #expect(term.name == "z_loss" && term.weight == 0.01)
        return [outcome.loss, outcome.sums.mean(term), outcome.gradientNorm]
      }
    }
    #expect(all.allSatisfy { $0 == all[0] })
    return all[0]
  }

  @Test(
    "A z-loss is the same on any grid, in segments, micro-batches and recomputed",
    arguments: [
      ([], 2), ([], 3), (["parallel.data=2"], 4), (["sequence.segments=3"], 1),
      (["sequence.segments=2", "sequence.carry_bytes=0"], 2), (["training.accumulation=2"], 1),
      (["training.recompute=true", "parallel.sharding=parameters"], 2),
    ])
  func partitions(overrides: [String], ranks: Int) throws {
    let right = try Self.steps([], ranks: 1)
    for (one, other) in zip(right, try Self.steps(overrides, ranks: ranks)) {
      for (a, b) in zip(one, other) { #expect(abs(a - b) <= 2e-6 * abs(a)) }
    }
  }

  @Test("A larger weight of the z-loss brings log sums nearer to 0")
  func learns() throws {
    func mean(_ weight: Double) throws -> Double {
      let run = try SmallRun(
        "training.z_loss=\(weight)", "model.init_std=0.5", "training.steps=40",
        "optimizer.learning_rate=1e-2")
      let trained = try run.make(on: SoloCommunicator())
      let last = try (0..<40).map { try trained.step($0) }.last!
      return last.sums.mean(last.sums.terms[0])
    }
    #expect(try mean(1) < 0.5 * mean(1e-9))
  }

  /// What a run leaves in its log, by a data file of 4,000 tokens of which none is to be predicted.
  private static func untargeted(
    _ files: TemporaryFolder, _ overrides: [String] = []
  ) throws -> RunConfiguration {
    let data = try files.write("a.txt", Data((0..<4000).map { UInt8($0 % 97) }))
    let mask = try files.write("mask", Data(repeating: 0, count: 4000))
    return try SmallRun(
      [
        "data.path=\(data)", "data.loss_mask=\(mask)", "training.steps=2", "evaluation.every=2",
        "log.directory=\(files.file("run"))",
      ] + overrides
    ).configuration
  }

  @Test(
    "A step and an evaluation without a target have no loss: null in the log, and a warning each")
  func noTarget() throws {
    let files = try TemporaryFolder()
    let configuration = try Self.untargeted(files)
    let world = World(communicator: SoloCommunicator(), host: Host(ranks: 1, index: 0))
    try TrainingSession(configuration, world: world, workspace: Workspace()).train()
    let log = try files.text("run/log.jsonl").split(separator: "\n")
    let steps = log.filter { $0.contains(#""event":"step""#) }
    #expect(steps.count == 2 && steps.allSatisfy { $0.contains(#""loss":null"#) })
    let evaluations = log.filter { $0.contains(#""event":"evaluation""#) }
    #expect(evaluations.count == 1 && evaluations[0].contains(#""loss":null"#))
    let warnings = log.filter { $0.contains(#""event":"warning""#) }
    #expect(warnings.count { $0.contains("step 1 has no token to predict") } == 1)
    #expect(warnings.count { $0.contains("evaluation after step 2 had no token") } == 1)
    #expect(Format.fixed(.nan) == "–")
  }
}
