import Autodiff
import Foundation
@testable import MessagePassing
import Models
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

  /// Cross-entropy, and beside it the mean square of the hidden states over all positions; or over the targets.
  private struct Activity: Objective {
    let weight: Double
    let overPositions: Bool

    var lossTerms: [DeclaredTerm] {
      [DeclaredTerm("activity", weight: weight, mean: overPositions ? .positions : .targets)]
    }

    func callAsFunction(
      _ hidden: Variable, head: Head, targets: [Int32], tape: Tape,
      logits: UnsafeMutablePointer<Float>?
    ) throws -> (loss: Variable, result: HeadResult) {
      let (x, workspace) = (hidden.value, tape.workspace)
      let columns = x.shape.columns
      let total = Tensor([1], pool: workspace.pool)
      // Weighted by channel, as the norm makes all plain squares the same.
      workspace.compute(.head) {
        var sum = 0.0
        for i in 0..<x.count {
          sum += Double(i % columns) * Double(x.pointer[i] * x.pointer[i])
        }
        total.pointer[0] = Float(sum)
      }
      let value = tape.record(total, inputs: [hidden]) { gradient in
        let dx = Tensor(x.shape, pool: workspace.pool)
        workspace.compute(.head) {
          for i in 0..<x.count {
            dx.pointer[i] = 2 * gradient.pointer[0] * Float(i % columns) * x.pointer[i]
          }
        }
        hidden.add(gradient: dx, in: workspace)
      }
      tape.addLoss(
        "activity", weight: weight, value, positions: overPositions ? x.shape.rows : nil)
      return try tape.crossEntropy(hidden, head.weight, targets: targets, logits: logits)
    }
  }

  /// A step's loss, gradient norm and mean of the only term, and its targets.
  private static func step(
    _ objective: any Objective, _ overrides: [String] = [], ranks: Int = 1
  ) throws -> (numbers: [Double], targets: Int) {
    let small = try SmallRun(["model.init_std=0.5"] + overrides)
    return try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      let run = try small.make(on: world, objective: objective)
      let outcome = try run.step(0)
      let term = try #require(outcome.sums.terms.first)
      return (
        [outcome.loss, outcome.gradientNorm, outcome.sums.mean(term)], outcome.sums.targets
      )
    }[0]
  }

  @Test(
    "A term that is a mean over positions has the gradient of one, however many targets there are")
  func positions() throws {
    let positions = 4 * 61
    let (one, targets) = try Self.step(Activity(weight: 0.1, overPositions: true))
    #expect(targets < positions / 2)
    let share = Double(targets) / Double(positions)
    let (other, _) = try Self.step(Activity(weight: 0.1 * share, overPositions: false))
    let (none, _) = try Self.step(Activity(weight: 0, overPositions: false))
    #expect(one[0] == other[0])
    #expect(abs(one[1] - other[1]) <= 1e-6 * one[1] && one[1] > 1.01 * none[1])
    #expect(abs(one[2] - other[2] * share) <= 1e-12 * one[2])
  }

  @Test(
    "A term over positions is the same on any grid, in segments and micro-batches",
    arguments: [
      ([], 3), (["parallel.data=2"], 4), (["sequence.segments=3"], 2),
      (["training.accumulation=2"], 1),
      (["training.recompute=true", "parallel.sharding=parameters"], 2),
    ])
  func positionsPartitioned(overrides: [String], ranks: Int) throws {
    let objective = Activity(weight: 0.1, overPositions: true)
    let (right, _) = try Self.step(objective)
    let (numbers, _) = try Self.step(objective, overrides, ranks: ranks)
    for (one, other) in zip(right, numbers) { #expect(abs(one - other) <= 2e-6 * abs(one)) }
  }

  /// Cross-entropy, which declares two terms and notes one of them.
  private struct Partial: Objective {
    let noted: String

    var lossTerms: [DeclaredTerm] {
      [DeclaredTerm("a", weight: 1), DeclaredTerm("b", weight: 2, mean: .positions)]
    }

    func callAsFunction(
      _ hidden: Variable, head: Head, targets: [Int32], tape: Tape,
      logits: UnsafeMutablePointer<Float>?
    ) throws -> (loss: Variable, result: HeadResult) {
      tape.note(
        LossTerm(
          noted, weight: noted == "a" ? 1 : 2, sum: 3, positions: noted == "b" ? 4 : nil))
      return try tape.crossEntropy(hidden, head.weight, targets: targets, logits: logits)
    }
  }

  @Test("Terms are summed over ranks by name, although ranks do not add the same ones")
  func names() throws {
    let small = try SmallRun("parallel.data=3", "training.batch=3")
    let sums = try ThreadCommunicator.run(ranks: 3, deadline: 60) { world in
      let run = try small.make(on: world, objective: Partial(noted: world.rank == 1 ? "a" : "b"))
      return try #require(try run.evaluate(run.corpus, steps: 1))
    }
    for sum in sums {
      #expect(
        sum.terms == [
          .init("a", weight: 1, sum: 3), .init("b", weight: 2, sum: 6, positions: 8),
        ])
    }
  }

  /// What a run leaves in its log, by a data file of 4,000 tokens of which none is to be predicted.
  private static func untargeted(
    _ files: TemporaryFolder, _ overrides: [String] = []
  ) throws -> RunConfiguration {
    let data = try files.write("a.txt", Data((0..<4000).map { UInt8($0 % 97) }))
    let mask = try files.write("mask", Data(repeating: 0, count: 4000))
    return try SmallRun(
      [
        "data.path=\(data)", "data.loss_mask=\(mask)", "training.steps=2", "evaluation.every=1",
        "log.directory=\(files.file("run"))",
      ] + overrides
    ).configuration
  }

  @Test(
    "Steps and evaluations without a target have no loss: null in the log, and one warning each")
  func noTarget() throws {
    let files = try TemporaryFolder()
    let configuration = try Self.untargeted(files)
    let world = World(communicator: SoloCommunicator(), host: Host(ranks: 1, index: 0))
    try TrainingSession(configuration, world: world, workspace: Workspace()).train()
    let log = try files.text("run/log.jsonl").split(separator: "\n")
    let steps = log.filter { $0.contains(#""event":"step""#) }
    #expect(steps.count == 2 && steps.allSatisfy { $0.contains(#""loss":null"#) })
    let evaluations = log.filter { $0.contains(#""event":"evaluation""#) }
    #expect(evaluations.count == 2 && evaluations.allSatisfy { $0.contains(#""loss":null"#) })
    let warnings = log.filter { $0.contains(#""event":"warning""#) }
    #expect(warnings.count { $0.contains("step 1 has no token to predict") } == 1)
    #expect(warnings.count { $0.contains("had no token to predict") } == 1)
    #expect(Format.fixed(.nan) == "–")
  }
}
