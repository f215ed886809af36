import DataParallel
import MessagePassing
import Models
import Tensors
import Testing

@testable import Training

@Suite("Training with frozen parameters")
struct FrozenParameterTests {
  init() { BLAS.setThreads(1) }

  /// The groups of a run whose embedding and lower half of blocks are frozen, or only do not move.
  private static func groups(_ change: String) -> String {
    let patterns = ["*embed*", "*layers.0.*", "*layers.1.*"]
    return "optimizer.groups=["
      + patterns.map { "{pattern: \"\($0)\", \(change)}" }.joined(separator: ", ") + "]"
  }

  private static let frozen = groups("frozen: true")
  /// With a learning rate of 0 weights get their gradients, and stay bitwise as they are.
  private static let still = groups("learning_rate_factor: 0")

  private func small(_ sharding: Sharding, _ keys: [String]) throws -> SmallRun {
    try SmallRun(
      [
        "model.depth=4", "parallel.sharding=\(sharding)", "parallel.bucket_bytes=2000",
        "training.steps=5", "optimizer.clip=0",
      ] + keys)
  }

  @Test(
    "What is trained learns bitwise as where the rest has gradients and does not move",
    arguments: Sharding.allCases,
    [
      [], ["training.recompute=true"], ["sequence.segments=3"], ["training.accumulation=2"],
      ["model.mixer=delta_net", "model.tie_embeddings=true"], ["model.mixer=transformer"],
      ["model.mixer=gated_deltanet"], ["optimizer.name=muon"],
      ["parallel.data=3", "training.batch=6"],
    ])
  func bits(sharding: Sharding, keys: [String]) throws {
    let still = try small(sharding, keys + [Self.still]).train(ranks: 3)
    let frozen = try small(sharding, keys + [Self.frozen]).train(ranks: 3)
    #expect(frozen[0].losses == still[0].losses)
    // Cuts of weights fall at the borders of matrices that Muon updates, and so elsewhere.
    if sharding != .parameters || !keys.contains("optimizer.name=muon") {
      #expect(frozen.map(\.weights) == still.map(\.weights))
    }
    #expect(frozen[0].losses.first != frozen[0].losses.last)
  }

  @Test(
    "Frozen parameters have no gradients, no state and no bytes, as the dry run says",
    arguments: Sharding.allCases)
  func savings(sharding: Sharding) throws {
    func measure(_ keys: [String]) throws -> (
      plan: Rehearsal, gradients: Int, weights: Int, kinds: [Int]
    ) {
      let run = try small(sharding, keys + ["model.dimension=64", "model.glu=96"])
      let real = try ThreadCommunicator.run(ranks: 2, deadline: 60) { world in
        let one = try run.make(on: world)
        for step in 0..<2 {
          one.context.counters.reset()
          _ = try one.step(step)
        }
        try one.store.settle(polling: one.context.workspace.poll)
        let counters = one.context.counters
        return (
          counters.gradientBytesSent, counters.weightBytesSent,
          one.context.workspace.pool.statistics.byKind
        )
      }[0]
      let setup = try RunSetup(run.configuration)
      let plan = try setup.rehearsals(run.configuration, ranks: 2).step(rank: 0, exchange: .chain)
      return (plan, real.0, real.1, real.2)
    }
    let all = try measure([])
    let some = try measure([Self.frozen])
    for one in [all, some] {
      #expect(one.plan.gradientBytes == one.gradients)
      #expect(one.plan.weightBytes == one.weights)
      let kind = BufferKind.optimizer.rawValue
      #expect(one.plan.peakByKind[kind] == one.kinds[kind])
    }
    #expect(some.gradients < all.gradients * 6 / 10)
    if sharding != .none { #expect(some.weights < all.weights) }
    for kind in [BufferKind.optimizer, .gradients, .activations] {
      #expect(
        some.plan.peakByKind[kind.rawValue] < all.plan.peakByKind[kind.rawValue], "\(kind)")
    }
  }

  @Test("What goes into frozen projections is not kept")
  func inputs() throws {
    func activations(_ pattern: String?) throws -> Int {
      let groups = pattern.map { ["optimizer.groups=[{pattern: \"\($0)\", frozen: true}]"] } ?? []
      let run = try SmallRun(["model.mixer=gla", "model.depth=4", "sequence.length=610"] + groups)
      let plan = try RunSetup(run.configuration).rehearsals(run.configuration, ranks: 1)
        .step(rank: 0, exchange: .chain)
      return plan.peakByKind[BufferKind.activations.rawValue]
    }
    let all = try activations(nil)
    // Each block's gated product, which nothing but the projection reads.
    #expect(try activations("*.down_proj.*") <= all - 4 * 4 * 610 * 24 * 3)
    // A norm's weight changes nothing: its input is read for the gradient of its input.
    #expect(try activations("*mlp_norm*") == all)
  }

  @Test("The plan counts no operations for gradients that nobody forms")
  func operations() throws {
    func model(_ keys: String...) throws -> LanguageModel {
      try RunSetup(SmallRun(["model.depth=4"] + keys).configuration).model
    }
    let all = try model()
    let recurrences = all.blocks.reduce(0) { sum, block in
      sum + block.mixer.recurrences.reduce(0) { $0 + $1.operationsPerToken }
    }
    #expect(all.operationsPerToken == 6 * Double(all.bodyCount) + recurrences)
    let block = Double(all.table.regions[1].range.count)
    let head = Double(all.table.regions[5].range.count)
    // Embedding and two blocks frozen: these run forward only, the others as before.
    let lower = try model(
      "optimizer.groups=[{pattern: \"*embed*\", frozen: true}, {pattern: \"model.layers.0.*\", frozen: true}, "
        + "{pattern: \"model.layers.1.*\", frozen: true}]")
    #expect(
      lower.operationsPerToken
        == 2 * 2 * block + 6 * (2 * block + head) + recurrences / 2 + recurrences / 6)
    // The head frozen: its gradient of the hidden states is formed all the same.
    let upper = try model("optimizer.groups=[{pattern: \"lm_head*\", frozen: true}]")
    #expect(upper.operationsPerToken == all.operationsPerToken - 2 * head)
  }

  @Test("A group has its own learning rate and decay")
  func rates() throws {
    let same = "{pattern: \"*\", learning_rate_factor: 0.5, weight_decay: 0.3}"
    let grouped = try small(.none, ["optimizer.groups=[\(same)]"]).train(ranks: 1)[0]
    let plain = try small(
      .none,
      [
        "optimizer.learning_rate=5e-4", "optimizer.weight_decay=0.3", "optimizer.decay_norms=true",
        "optimizer.decay_embeddings=true",
      ]
    ).train(ranks: 1)[0]
    #expect(grouped.weights == plain.weights)
  }

  @Test("A pattern that fits no tensor is refused by name")
  func noMatch() {
    #expect {
      try small(.none, ["optimizer.groups=[{pattern: \"*embedings*\"}]"]).train(ranks: 1)
    } throws: {
      "\($0)".contains("no tensor of the model fits the pattern *embedings*; near it are ")
    }
  }
}
