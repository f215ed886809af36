import Autodiff
import Kernels
import SequenceParallel

/// GLA's token mixer: a linear recurrence whose decay is a vector from data.
///
/// Concretely: `S_t = diag(e^{g_t}) S_{t−1} + k_tᵀ v_t`, `g = log σ(x W_0 W_1 + b) / 16`,
/// `y = W_o(rms(o) ⊙ w ⊙ silu(x W_g))`.
///
/// - Source: arXiv 2312.06635, section 4.4.
struct GLAMixer: TokenMixer {
  let layer: Int
  let heads: HeadSplit
  let query, key, value: MixingProjection
  let featureMap: Activation
  let decay: (down: Linear, up: Linear)
  let leastDecay: Float?
  let norm: HeadNorm
  let output: Linear

  /// Width between the two projections of the decay.
  private static let decayRank = 16

  init(
    _ family: GatedLinearAttention, layer: Int, dimension: Int, epsilon: Float, name: String,
    _ builder: inout ModelBuilder
  ) {
    self.layer = layer
    let heads = family.heads
    self.heads = heads
    func project(
      _ letter: Character, _ index: Int, _ output: Int, _ builder: inout ModelBuilder
    ) -> MixingProjection {
      builder.mixingProjection(
        letter, index: index, layer: layer, name: name, output: output, input: dimension,
        taps: family.taps, activation: family.taps == nil ? .identity : .silu)
    }
    query = project("q", 0, heads.keyWidth, &builder)
    key = project("k", 1, heads.ownKeyWidth, &builder)
    value = project("v", 2, heads.ownValueWidth, &builder)
    featureMap = family.featureMap
    decay = (
      builder.linear(name + "gk_proj.0", Self.decayRank, dimension),
      builder.linear(name + "gk_proj.1", heads.ownKeyWidth, Self.decayRank, bias: true)
    )
    leastDecay = family.least.map { Float($0) }
    norm = builder.headNorm(
      name, normName: family.isGated && family.fusesNorm ? "g_norm_swish_gate" : "g_norm",
      heads: heads.heads, valueDimension: heads.valueDimension, input: dimension,
      isGated: family.isGated, epsilon: epsilon)
    output = builder.linear(name + "o_proj", dimension, heads.valueWidth)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; q [N, H·K]; k g [N, keyHeads·K]; v [N, keyHeads·V]; o [N, H·V].
    let q = featureMap(try query(x, tape: tape, pass: pass), tape: tape)
    let k = featureMap(try key(x, tape: tape, pass: pass), tape: tape)
    let v = try value(x, tape: tape, pass: pass)
    let g = try tape.logSigmoidGate(
      decay.up(decay.down(x, tape: tape), tape: tape), divisor: 16, least: leastDecay)
    let kernel = DiagonalRecurrence(
      .vector, keyDimension: heads.keyDimension, valueDimension: heads.partDimension,
      scale: 1 / Float(heads.keyDimension).squareRoot())
    let o = try tape.recurrence(
      kernel, RecurrenceInputs(q: q, k: k, v: v, g: g),
      slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    return try output(norm(o, input: x, tape: tape), adding: residual, tape: tape)
  }

  var recurrences: [RecurrenceSize] {
    [
      RecurrenceSize(
        heads: heads.heads, keyDimension: heads.keyDimension, valueDimension: heads.valueDimension,
        isDelta: false)
    ]
  }
}
