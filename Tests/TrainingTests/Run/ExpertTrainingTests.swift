import MessagePassing
import Models
import Reporting
import Tensors
import Testing

@testable import Training

@Suite("Training of experts")
struct ExpertTrainingTests {
  init() { BLAS.setThreads(1) }

  private static let experts = [
    "model.mixer=gla", "model.channels=experts", "model.experts.count=6", "model.experts.active=2",
    "model.experts.width=12", "model.experts.shared_width=8", "model.experts.shared_gate=true",
    "model.experts.balance=0.1", "model.experts.z_loss=0.01", "model.init_std=0.3",
  ]

  /// Of each step: loss, terms, gradient norm, and how tokens fell on experts; the same on all ranks.
  private static func steps(
    _ overrides: [String] = [], ranks: Int, count: Int = 3
  ) throws -> [[Double]] {
    let small = try SmallRun(experts + overrides, steps: count)
    let all = try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      let run = try small.make(on: world)
      return try (0..<count).map { step in
        let outcome = try run.step(step)
        let shares = try #require(outcome.experts)
        return [outcome.loss, outcome.gradientNorm] + outcome.sums.terms.map(outcome.sums.mean)
          + [shares.least, shares.greatest, shares.evenness]
      }
    }
    #expect(all.allSatisfy { $0 == all[0] })
    return all[0]
  }

  @Test(
    "Losses, terms, gradients and shares are the same on any grid, in segments and recomputed",
    arguments: [
      ([], 2), ([], 3), (["parallel.data=2"], 4), (["sequence.segments=3"], 1),
      (["sequence.segments=3", "sequence.carry_bytes=0"], 2),
      (["training.recompute=true", "parallel.sharding=parameters"], 2),
      (["parallel.data=4", "parallel.exchange=gather"], 4),
    ])
  func partitions(overrides: [String], ranks: Int) throws {
    let right = try Self.steps(ranks: 1)
    #expect(right[0].count == 7)
    for (one, other) in zip(right, try Self.steps(overrides, ranks: ranks)) {
      for (a, b) in zip(one, other) { #expect(abs(a - b) <= 1e-5 * abs(a)) }
    }
  }

  @Test(
    "Experts stand in blocks of every skeleton",
    arguments: ["tnl", "rwkv6", "rwkv7", "mamba2", "xlstm", "samba"])
  func skeletons(mixer: String) throws {
    let keys = ["model.mixer=\(mixer)", "model.depth=2", "model.experts.shared_gate=false"]
    // RWKV-6 of such weights makes rounding ten times as large with every step.
    let right = try Self.steps(keys, ranks: 1, count: 1)
    for (one, other) in zip(right, try Self.steps(keys, ranks: 3, count: 1)) {
      for (a, b) in zip(one, other) { #expect(abs(a - b) <= 1e-5 * abs(a)) }
    }
  }

  @Test("Ranks without tokens and experts without tokens are nothing special")
  func empty() throws {
    let few = ["sequence.length=21", "model.experts.count=60", "training.batch=1"]
    let right = try Self.steps(few, ranks: 1)
    #expect(right[0][4] == 0)
    for (one, other) in zip(right, try Self.steps(few, ranks: 24)) {
      for (a, b) in zip(one, other) { #expect(abs(a - b) <= 1e-5 * abs(a)) }
    }
  }

  @Test("A loss for balance makes the shares of experts more even")
  func balances() throws {
    func evenness(_ weight: Double) throws -> Double {
      let small = try SmallRun(
        Self.experts + [
          "model.experts.balance=\(weight)", "model.experts.active=1", "model.init_std=0.8",
          "optimizer.learning_rate=1e-2",
        ], steps: 30, rate: nil)
      let run = try small.make(on: SoloCommunicator())
      return try (0..<30).map { try run.step($0) }.last!.experts!.evenness
    }
    let (without, with) = (try evenness(0), try evenness(1))
    #expect(with > without + 0.01)
  }

  @Test(
    "Experts that cannot be are refused with the key",
    arguments: [
      (["model.channels=experts", "model.experts.active=9"], "a token cannot take 9 of 8 experts"),
      (
        ["model.mixer=liger_gla", "model.channels=experts"],
        "experts cannot stand in the blocks of liger_gla"
      ),
      (
        ["model.mixer=mixtral", "model.experts.shared_width=8"], "experts of mixtral do not have it"
      ),
      (["model.experts.count=4"], "there are no experts; give model.channels=experts"),
    ])
  func refuses(overrides: [String], sentence: String) throws {
    let error = #expect(throws: (any Error).self) { _ = try SmallRun(overrides) }
    #expect("\(try #require(error))".contains(sentence))
  }
}
