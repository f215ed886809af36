import Checkpoints
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

  @Test("Micro-batches hold the same rows on every grid, so their losses for balance are the same")
  func accumulation() throws {
    let keys = ["training.accumulation=2", "model.experts.balance=1"]
    let right = try Self.steps(keys, ranks: 1)
    for (one, other) in zip(right, try Self.steps(keys + ["parallel.data=2"], ranks: 4)) {
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
    "With a capacity the same choices are dropped on any grid, with experts dealt and run again too",
    arguments: [
      ([], 3), (["parallel.data=2"], 4), (["parallel.experts=2", "parallel.data=2"], 4),
      (["training.recompute=true", "parallel.experts=3"], 3), (["parallel.data=4"], 4),
      (["parallel.exchange=scan", "parallel.sharding=parameters"], 8),
    ])
  func capacity(overrides: [String], ranks: Int) throws {
    let keys = ["model.experts.capacity=1"]
    let right = try Self.dropping(keys, ranks: 1)
    #expect(right.allSatisfy { $0.dropped > 0 })
    for (one, other) in zip(right, try Self.dropping(keys + overrides, ranks: ranks)) {
      #expect(one.dropped == other.dropped)
      for (a, b) in zip(one.numbers, other.numbers) { #expect(abs(a - b) <= 1e-5 * abs(a)) }
    }
  }

  @Test("Segments drop by themselves; room for all drops nothing and changes no bit")
  func room() throws {
    let segments = ["model.experts.capacity=1", "sequence.segments=3"]
    let right = try Self.dropping(segments, ranks: 1)
    let recomputed = try Self.dropping(
      segments + ["training.recompute=true", "sequence.carry_bytes=0"], ranks: 2)
    for (one, other) in zip(right, recomputed) {
      #expect(one.dropped == other.dropped && one.dropped > 0)
      for (a, b) in zip(one.numbers, other.numbers) { #expect(abs(a - b) <= 1e-5 * abs(a)) }
    }
    let all = try Self.dropping(["model.experts.capacity=3"], ranks: 2)
    let unlimited = try Self.dropping([], ranks: 2)
    #expect(all == unlimited)
    #expect(all.allSatisfy { $0.dropped == 0 })
  }

  /// What a step gave, and how many choices no expert took.
  private struct Dropping: Equatable {
    var dropped: Int
    var numbers: [Double]
  }

  private static func dropping(_ overrides: [String], ranks: Int) throws -> [Dropping] {
    let small = try SmallRun(experts + overrides, steps: 3)
    return try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      let run = try small.make(on: world)
      return try (0..<3).map { step in
        let outcome = try run.step(step)
        return Dropping(
          dropped: try #require(outcome.experts).dropped,
          numbers: [outcome.loss, outcome.gradientNorm] + outcome.sums.terms.map(outcome.sums.mean))
      }
    }[0]
  }

  private static let balanced =
    experts + ["model.experts.balance=0", "model.experts.score=sigmoid", "model.init_std=0.8"]
  /// Two layers of experts in groups, above one without.
  private static let kimi = [
    "model.mixer=kimi_linear", "model.depth=3", "model.experts.count=6", "model.experts.active=2",
    "model.experts.width=12", "model.kimi_linear.expert_groups=3",
    "model.kimi_linear.best_groups=2", "model.init_std=0.8",
  ]

  @Test(
    "A bias moves by its layer's choices of all ranks, wherever weights lie, and makes shares more even",
    arguments: [balanced, kimi],
    [
      ([], 1), (["parallel.data=2", "parallel.sharding=gradients"], 4),
      (["parallel.sharding=parameters"], 2), (["parallel.experts=2"], 2),
      (["training.accumulation=2"], 1),
    ])
  func bias(model: [String], way: (overrides: [String], ranks: Int)) throws {
    let (rate, ranks) = (0.02, way.ranks)
    let small = try SmallRun(
      model + way.overrides + ["model.experts.bias_update=\(rate)"], steps: 20)
    let all = try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      let run = try small.make(on: world)
      let biases = run.model.balancedBiases
      #expect(biases.count == 2)
      var right = [Float](repeating: 0, count: 12)
      var evenness: [Double] = []
      for step in 0..<20 {
        evenness.append(try #require(try run.step(step).experts).evenness)
        let counts = try world.allReduce(run.balancedChoices, .sum)
        for layer in 0..<2 {
          let own = counts[6 * layer..<6 * layer + 6]
          // Each of 4 × 61 tokens chose two.
          #expect(own.reduce(0, +) == 2 * 4 * 61)
          for (expert, count) in own.enumerated() where Double(count) != 2 * 4 * 61 / 6.0 {
            right[6 * layer + expert] += Float(count < 2 * 4 * 61 / 6.0 ? rate : -rate)
          }
        }
      }
      var found = right
      try run.store.settle(polling: run.context.workspace.poll)
      for (layer, bias) in biases.enumerated() {
        let range = run.model.table[bias.bias].range
        for part in run.store.kept {
          for place in range.clamped(to: part.range) {
            found[6 * layer + place - range.lowerBound] =
              part.values[place - part.range.lowerBound]
          }
        }
      }
      return (right: right, found: found, evenness: evenness)
    }
    for one in all {
      #expect(one.found == one.right)
      #expect(one.right == all[0].right && one.right.contains { $0 != 0 })
    }
    #expect(all[0].evenness.last! > all[0].evenness[0])
  }

  @Test(
    "A bias is a tensor of the model, and goes on from a checkpoint", arguments: [balanced, kimi])
  func biasInFiles(model: [String]) throws {
    let runs = try SmallRuns()
    let keys = model + ["model.experts.bias_update=0.01"]
    try runs.train("whole", keys)
    try runs.resume(runs.checkpoint("whole", 4), ["log.directory=\(runs.path("resumed"))"])
    func weights(_ path: String) throws -> [Float] {
      let folder = try ModelFolder(path: path)
      let biases = folder.model.tensors.filter { $0.name.hasSuffix("e_score_correction_bias") }
      #expect(biases.count == 2 && folder.model.balancedBiases.map(\.rate) == [0.01, 0.01])
      return try biases.flatMap { tensor in
        let range = folder.model.table[tensor.pieces[0].parameter].range
        var numbers = [Float](repeating: 0, count: range.count)
        try folder.read(range, into: &numbers)
        return numbers
      }
    }
    let whole = try weights(runs.checkpoint("whole", 6))
    let earlier = try weights(runs.checkpoint("whole", 4))
    #expect(whole.contains { $0 != 0 } && whole != earlier)
    #expect(try weights(runs.path("resumed") + "/checkpoints/step-00000006") == whole)
  }

  @Test("Experts of a folder are trained as the run says, and written so")
  func beside() throws {
    let runs = try SmallRuns()
    try runs.train("kimi", Self.kimi)
    let from = "model.from=\(runs.path("kimi"))/model"
    let keys = [from, "model.experts.bias_update=0.02", "model.experts.capacity=1.5"]
    try runs.train("balanced", keys)
    let folder = try ModelFolder(path: runs.path("balanced") + "/model")
    #expect(folder.model.balancedBiases.map(\.rate) == [0.02, 0.02])
    #expect(try ModelFolder(path: runs.path("kimi") + "/model").model.balancedBiases.isEmpty)
    // A run that goes on knows it, too.
    let again = [from, "model.experts.bias_update=0.02"]
    try runs.train("whole", again)
    try runs.resume(runs.checkpoint("whole", 2), ["log.directory=\(runs.path("resumed"))"])
    #expect(
      try runs.weights("resumed", "checkpoints/step-00000006/model.safetensors")
        == runs.weights("whole", "checkpoints/step-00000006/model.safetensors"))
    #expect(try runs.weights("whole") != runs.weights("kimi"))
    // Losses of other families, and what they do not have.
    try runs.train("mixtral", ["model.mixer=mixtral", "model.experts.balance=0"])
    let mixtral = "model.from=\(runs.path("mixtral"))/model"
    #expect(
      try RunSetup(SmallRun(mixtral, "model.experts.balance=0.1").configuration).model.lossTerms(
        NextToken()
      ).map(\.weight) == [0.1])
    for (keys, words) in [
      ([mixtral, "model.experts.bias_update=0.1"], "has no experts that are trained so"),
      ([mixtral, "model.experts.z_loss=0"], "has no experts that are trained so"),
      ([from, "model.experts.balance=0.1"], "has no experts that are trained so"),
      ([from, "model.experts.count=4"], "says itself what it is"),
      ([from, "model.experts.capacity=0.5"], "drops tokens however equally experts are chosen"),
    ] {
      #expect(sentence { _ = try SmallRun(keys) }.contains(words), "\(keys)")
    }
    try runs.train("dense", ["model.mixer=gla"])
    #expect(
      sentence {
        _ = try SmallRun("model.from=\(runs.path("dense"))/model", "model.experts.capacity=2")
      }.contains("has no experts that are trained so"))
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
      (
        ["model.channels=experts", "model.experts.capacity=0.5"],
        "a capacity of 0.5 times the mean drops tokens however equally experts are chosen"
      ), (["model.mixer=mixtral", "model.experts.bias_update=0.1"], "do not have it"),
      (["model.experts.count=4"], "there are no experts; give model.channels=experts"),
      (["model.mixer=mom", "model.mom.active=5"], "a token cannot go to 5 of 4 memories"),
      (
        ["model.layers=[gla, mom]", "model.channels=experts"],
        "the layers of mom choose by routers of their own"
      ),
    ])
  func refuses(overrides: [String], sentence: String) throws {
    let error = #expect(throws: (any Error).self) { _ = try SmallRun(overrides) }
    #expect("\(try #require(error))".contains(sentence))
  }
}
