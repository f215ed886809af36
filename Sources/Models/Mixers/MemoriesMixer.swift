import Autodiff
import Kernels
import SequenceParallel
import Tensors

/// MoM's token mixer: each token goes to a few of many memories, each a recurrence over the tokens that go there, and to
/// one that all tokens share.
///
/// Concretely: `y = W_o(rms(o) ⊙ w ⊙ silu(x W_g))`, `o_t = Σ_chosen w_e o_t^e + o_t^shared`, with `w` the chosen of
/// `softmax(x W)` over their sum. In memory e, over the tokens that go there, q, k and v go through short convolutions, and
/// the recurrence is the gated delta rule with q and k of length 1,
/// `S̄ = e^g S`, `S ← S̄ + β kᵀ(v − k S̄)`, `g = −e^A softplus(x W_a + b)`, `β = σ(x W_b)`; or that of GLA or of linear
/// attention. All halos of the convolutions cross ranks in one message, ahead of all states in another.
///
/// - Source: Du et al., "MoM: Linear Sequence Modeling with Mixture-of-Memories" (arXiv 2502.13685), section 3.
struct MemoriesMixer: FlashLayer {
  /// What a memory forgets and writes by.
  private enum Gates {
    /// The gated delta rule's: of the decay and the step, and each head's rate of decay and bias of it, `[H]`.
    case delta(decay: MemoryProjection, step: MemoryProjection, rate: Parameter, bias: Parameter)
    /// GLA's: two projections of the decay one after another, and its bias, `[H·K]`.
    case vector(down: MemoryProjection, up: MemoryProjection, bias: Parameter)
    /// None.
    case none
  }

  let layer: Int
  let rule: RoutingRule
  let hasShared: Bool
  let balance: Double
  /// Shape `[memories, D]`.
  let router: Parameter
  let query: Linear
  let key, value: MemoryProjection
  private let gates: Gates
  /// Of queries, keys and values, `[C, 1, W]`, the same in all memories.
  let taps: [Parameter]
  let kernel: any RecurrenceKernel
  let heads, valueParts: Int
  let norm: HeadNorm
  let output: Linear

  /// Width between the two projections of GLA's decay.
  private static let decayRank = 16

  init(_ family: MixtureOfMemories, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (name, dimension, shape) = (place.name, place.dimension, family.shape)
    (layer, rule, hasShared, balance) = (
      place.layer, family.rule, family.hasShared, family.balance
    )
    (heads, valueParts) = (shape.heads, shape.valueParts)
    let (keys, values) = (heads * shape.keyDimension, heads * shape.valueDimension)
    func project(
      _ letter: String, _ output: Int, input: Int = dimension, part: String = "",
      _ builder: inout ModelBuilder
    ) -> MemoryProjection {
      builder.memoryProjection(
        letter, family, at: place, output: output, input: input, part: part)
    }
    router = builder.linear(name + "gate", rule.experts, dimension).weight
    builder.routers.insert(router)
    query = builder.linear(name + "q_proj", keys, dimension)
    key = project("k", keys, &builder)
    value = project("v", values, &builder)
    let (K, V) = (shape.keyDimension, shape.partDimension)
    switch family.recurrence {
    case .gatedDelta:
      let step = project("b", heads, &builder)
      let decay = project("a", heads, &builder)
      let (rate, bias) = builder.decayRates(at: place, heads: heads)
      gates = .delta(decay: decay, step: step, rate: rate, bias: bias)
      kernel = DeltaRecurrence(.scalar, keyDimension: K, valueDimension: V, scale: shape.scale)
    case .gla:
      let down = project("gk", Self.decayRank, part: ".0", &builder)
      let up = project("gk", keys, input: Self.decayRank, part: ".1", &builder)
      let bias = builder.parameter(
        name + "gk_bias", [keys], role: .bias, initialization: .constant(0))
      gates = .vector(down: down, up: up, bias: bias)
      kernel = DiagonalRecurrence(.vector, keyDimension: K, valueDimension: V, scale: shape.scale)
    case .linear:
      gates = .none
      kernel = DiagonalRecurrence(.none, keyDimension: K, valueDimension: V, scale: shape.scale)
    }
    taps = [("q", keys), ("k", keys), ("v", values)].map { letter, channels in
      builder.parameter(
        "\(name)\(letter)_conv1d.weight", [channels, 1, family.taps], role: .matrix,
        initialization: .normal(deviation: builder.deviation))
    }
    norm = builder.headNorm(
      "o_norm", at: place, heads: heads, valueDimension: shape.valueDimension,
      isGated: family.isGated)
    output = builder.linear(name + "o_proj", dimension, values)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; R rows of tokens and memories; q k [R, H·K]; v o [R, H·V]; g [R, H] or [R, H·K]; beta [R, H].
    let chosen = try tape.routing(x, router, rule, balance: balance)
    let routing = hasShared ? chosen.takingAll(in: tape.workspace) : chosen
    let memories = Subsequences(routing, layout: pass.layout, in: tape.workspace)
    var spread: Variable?
    func rows() -> Variable {
      let found = spread ?? tape.spread(x, routing, for: .products)
      spread = found
      return found
    }
    func project(
      _ projection: MemoryProjection, for readers: Readers = .any
    ) throws -> Variable {
      try projection(x, rows: rows(), routing, tape: tape, for: readers)
    }
    let q = tape.spread(try query(x, tape: tape, for: .products), routing, for: .products)
    let k = try project(key, for: .products)
    let v = try project(value, for: .products)
    let isDelta = if case .delta = gates { true } else { false }
    var mixed = try tape.shortConvolutions(
      [
        ConvolutionInput(q, weight: taps[0], for: isDelta ? .any : .products),
        ConvolutionInput(k, weight: taps[1], for: isDelta ? .any : .products),
        ConvolutionInput(v, weight: taps[2], for: .products),
      ], activation: .silu, of: memories, slot: CarrySlot(layer: layer, .halo(0)), pass: pass)
    if isDelta {
      for index in 0..<2 {
        mixed[index] = tape.l2Norm(mixed[index], width: kernel.keyDimension, for: .products)
      }
    }
    var inputs = RecurrenceInputs(q: mixed[0], k: mixed[1], v: mixed[2])
    switch gates {
    case .delta(let decay, let step, let rate, let bias):
      inputs.g = tape.softplusGate(try project(decay), rate: rate, bias: bias)
      inputs.beta = tape.sigmoid(try project(step))
    case .vector(let down, let up, let bias):
      inputs.g = tape.logSigmoidGate(
        try up(project(down), routing, bias: bias, tape: tape), divisor: 16)
    case .none: break
    }
    let o = try tape.recurrence(
      kernel, inputs, of: memories, slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    return try output(
      norm(tape.weightedSum(o, routing), input: x, tape: tape), adding: residual, tape: tape)
  }

  /// The router reads it in fp32.
  var readers: Readers { .any }

  var lossTerms: [DeclaredTerm] {
    balance > 0
      ? [DeclaredTerm(ExpertBalance.lossName, weight: balance, mean: .positions)] : []
  }

  var experts: RoutingRule? { rule }

  /// Of the memories' own, those of the memories that a token does not go to.
  var idleWeights: [(weight: Parameter, share: Double)] {
    let share = 1 - Double(rule.chosen) / Double(rule.experts)
    let gates: [MemoryProjection] =
      switch self.gates {
      case .delta(let decay, let step, _, _): [decay, step]
      case .vector(let down, let up, _): [down, up]
      case .none: []
      }
    return ([key, value] + gates).filter { !$0.isCommon }.flatMap {
      $0.weights.prefix(rule.experts).map { ($0, share) }
    }
  }

  var recurrences: [RecurrenceSize] {
    let memories = rule.chosen + (hasShared ? 1 : 0)
    return [RecurrenceSize(kernel, heads: heads * memories, parts: valueParts)]
  }
}
