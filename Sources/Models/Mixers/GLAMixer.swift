import Autodiff
import Kernels
import SequenceParallel

/// GLA's token mixer: a linear recurrence whose decay is a vector from data.
///
/// Concretely: `S_t = diag(e^{g_t}) S_{t−1} + k_tᵀ v_t`, `g = log σ(x W_0 W_1 + b) / 16`,
/// `y = W_o(rms(o) ⊙ w ⊙ silu(x W_g))`.
///
/// - Source: arXiv 2312.06635, section 4.4.
struct GLAMixer: FlashLayer {
  let layer: Int
  let heads: HeadSplit
  let query, key, value: MixingProjection
  let featureMap: Activation
  let decay: (down: Linear, up: Linear)
  let leastDecay: Float?
  let kernel: DiagonalRecurrence
  let norm: HeadNorm
  let output: Linear

  /// Width between the two projections of the decay.
  private static let decayRank = 16

  init(_ family: GatedLinearAttention, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (name, dimension) = (place.name, place.dimension)
    layer = place.layer
    let heads = family.heads
    self.heads = heads
    let activation: Activation = family.taps == nil ? .identity : .silu
    query = builder.mixingProjection(
      "q", 0, at: place, output: heads.keyWidth, taps: family.taps, activation: activation)
    key = builder.mixingProjection(
      "k", 1, at: place, output: heads.ownKeyWidth, taps: family.taps, activation: activation)
    value = builder.mixingProjection(
      "v", 2, at: place, output: heads.ownValueWidth, taps: family.taps, activation: activation)
    featureMap = family.featureMap
    decay = (
      builder.linear(name + "gk_proj.0", Self.decayRank, dimension),
      builder.linear(name + "gk_proj.1", heads.ownKeyWidth, Self.decayRank, bias: true)
    )
    leastDecay = family.least.map { Float($0) }
    kernel = DiagonalRecurrence(
      .vector, keyDimension: heads.keyDimension, valueDimension: heads.partDimension,
      scale: heads.scale)
    norm = builder.headNorm(
      family.isGated && family.fusesNorm ? "g_norm_swish_gate" : "g_norm", at: place,
      heads: heads.heads, valueDimension: heads.valueDimension, isGated: family.isGated)
    output = builder.linear(name + "o_proj", dimension, heads.valueWidth)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; q [N, H·K]; k g [N, keyHeads·K]; v [N, keyHeads·V]; o [N, H·V].
    let q = tape.activation(
      featureMap, try query(x, tape: tape, pass: pass, for: .products), for: .products)
    let k = tape.activation(
      featureMap, try key(x, tape: tape, pass: pass, for: .products), for: .products)
    let v = try value(x, tape: tape, pass: pass, for: .products)
    let g = try tape.logSigmoidGate(
      decay.up(decay.down(x, tape: tape), tape: tape), divisor: 16, least: leastDecay)
    let o = try tape.recurrence(
      kernel, RecurrenceInputs(q: q, k: k, v: v, g: g),
      slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    return try output(norm(o, input: x, tape: tape), adding: residual, tape: tape)
  }

  var recurrences: [RecurrenceSize] {
    [RecurrenceSize(kernel, heads: heads.heads, parts: heads.valueParts)]
  }
}
