import Autodiff
import Foundation
import Kernels
import SequenceParallel
import Tensors

/// Gated DeltaNet's token mixer: the gated delta rule.
///
/// Concretely: `S̄_t = e^{g_t} S_{t−1}`, `S_t = S̄_t + β_t k_tᵀ (v_t − k_t S̄_t)` with `g = −e^A softplus(x W_a + b)`,
/// `β = σ(x W_b)`, and q and k of length 1; `y = W_o(rms(o) ⊙ w ⊙ act(x W_g))`.
///
/// - Source: arXiv 2412.06464.
struct GatedDeltaNetMixer: FlashLayer {
  let layer: Int
  /// Heads of the state.
  let heads: Int
  /// Heads of the kernel that a head's values are cut into.
  let valueParts: Int
  let kernel: DeltaRecurrence
  let query, key, value: MixingProjection
  let decay, step: Linear
  /// The logarithm of each head's rate of decay, and the bias of its step, `[H]`.
  let rate, rateBias: Parameter
  /// The largest β: 1, or 2 where eigenvalues may be negative.
  let largestStep: Float
  let norm: HeadNorm
  let output: Linear

  init(_ family: GatedDeltaNet, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (name, dimension) = (place.name, place.dimension)
    layer = place.layer
    let shape = family.shape
    heads = shape.heads
    let (keyDimension, valueDimension) = (shape.keyDimension, shape.valueDimension)
    func project(
      _ letter: Character, _ index: Int, _ output: Int, _ builder: inout ModelBuilder
    ) -> MixingProjection {
      builder.mixingProjection(
        letter, index, at: place, output: output, taps: family.taps, activation: .silu)
    }
    query = project("q", 0, shape.keyHeads * keyDimension, &builder)
    key = project("k", 1, shape.keyHeads * keyDimension, &builder)
    value = project("v", 2, heads * valueDimension, &builder)
    decay = builder.linear(name + "a_proj", heads, dimension)
    step = builder.linear(name + "b_proj", heads, dimension)
    (rate, rateBias) = builder.decayRates(at: place, heads: heads)
    largestStep = family.doublesBeta ? 2 : 1
    kernel = DeltaRecurrence(
      .scalar, keyDimension: keyDimension, valueDimension: shape.partDimension, scale: shape.scale)
    valueParts = shape.valueParts
    norm = builder.headNorm(
      "o_norm", at: place, heads: heads, valueDimension: valueDimension, isGated: family.isGated,
      activation: family.gateActivation)
    output = builder.linear(name + "o_proj", dimension, heads * valueDimension)
  }

  /// Builds a layer whose file fuses its projections, those of each head of keys with those of the values that it serves,
  /// and its convolutions: Qwen3-Next's.
  init(
    fused shape: DeltaHeads, taps: Int, at place: MixerPlace, _ builder: inout ModelBuilder
  ) {
    let (name, dimension) = (place.name, place.dimension)
    layer = place.layer
    heads = shape.heads
    let (keyWidth, valueWidth) = (
      shape.keyHeads * shape.keyDimension, heads * shape.valueDimension
    )
    let inputs = builder.fused(
      name + "in_proj_qkvz",
      parts: [("q", keyWidth), ("k", keyWidth), ("v", valueWidth), ("z", valueWidth)],
      groups: shape.keyHeads, input: dimension, bias: false)
    let gates = builder.fused(
      name + "in_proj_ba", parts: [("b", heads), ("a", heads)], groups: shape.keyHeads,
      input: dimension, bias: false)
    (step, decay) = (gates[0], gates[1])
    let convolutions = builder.convolutions(
      name + "conv1d", parts: [("q", keyWidth), ("k", keyWidth), ("v", valueWidth)], taps: taps,
      activation: .silu, layer: place.layer)
    func project(_ part: Int) -> MixingProjection {
      MixingProjection(
        linear: inputs[part], convolution: convolutions[part], activation: .silu)
    }
    (query, key, value) = (project(0), project(1), project(2))
    rate = builder.parameter(
      name + "A_log", [heads], role: .bias, initialization: .drawn { log(16 * (1 - $1)) })
    rateBias = builder.parameter(
      name + "dt_bias", [heads], role: .bias, initialization: .constant(1))
    largestStep = 1
    kernel = DeltaRecurrence(
      .scalar, keyDimension: shape.keyDimension, valueDimension: shape.partDimension,
      scale: shape.scale)
    valueParts = shape.valueParts
    norm = builder.headNorm(
      "norm", at: place, valueDimension: shape.valueDimension, gate: [inputs[3]],
      activation: .silu)
    output = builder.linear(name + "out_proj", dimension, valueWidth)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; q k [N, keyHeads·K]; v o [N, H·V]; g beta [N, H].
    let q = tape.l2Norm(
      try query(x, tape: tape, pass: pass), width: kernel.keyDimension, for: .products)
    let k = tape.l2Norm(
      try key(x, tape: tape, pass: pass), width: kernel.keyDimension, for: .products)
    let v = try value(x, tape: tape, pass: pass, for: .products)
    let g = try tape.softplusGate(decay(x, tape: tape), rate: rate, bias: rateBias)
    let beta = try tape.sigmoid(step(x, tape: tape), scale: largestStep)
    let o = try tape.recurrence(
      kernel, RecurrenceInputs(q: q, k: k, v: v, g: g, beta: beta),
      slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    return try output(norm(o, input: x, tape: tape), adding: residual, tape: tape)
  }

  var recurrences: [RecurrenceSize] {
    [RecurrenceSize(kernel, heads: heads, parts: valueParts)]
  }
}
