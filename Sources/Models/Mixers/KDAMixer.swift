import Autodiff
import Foundation
import Kernels
import SequenceParallel
import Tensors

/// Kimi Delta Attention's token mixer: the delta rule with a decay for every key channel.
///
/// Concretely: `S̄_t = e^{g_t} ⊙ S_{t−1}`, `S_t = S̄_t + β_t k_tᵀ (v_t − k_t S̄_t)` with
/// `g = −e^A softplus(x W_f1 W_f2 + b)`, or `least · σ(e^A (x W_f1 W_f2 + b))`, `β = σ(x W_b)`, and q and k of length 1;
/// `y = W_o(rms(o) ⊙ w ⊙ σ(x W_g1 W_g2 + b_g))`.
///
/// - Source: Kimi Linear (arXiv 2510.26692).
struct KDAMixer: FlashLayer {
  let layer: Int
  /// Heads of the state.
  let heads: Int
  /// Heads of the kernel that a head's values are cut into.
  let valueParts: Int
  let kernel: DeltaRecurrence
  let query, key, value: MixingProjection
  let decay: (down: Linear, up: Linear)
  let step: Linear
  /// The logarithm of each head's rate of decay `[H]`, and the bias of each channel's step `[H·K]`.
  let rate, rateBias: Parameter
  /// The least log decay of gates that are sigmoids; nil for gates by softplus.
  let leastDecay: Float?
  /// The largest β: 1, or 2 where eigenvalues may be negative.
  let largestStep: Float
  let norm: HeadNorm
  let output: Linear

  init(_ family: KimiDeltaAttention, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (name, dimension) = (place.name, place.dimension)
    layer = place.layer
    let shape = family.shape
    heads = shape.heads
    let (K, V) = (shape.keyDimension, shape.valueDimension)
    func project(
      _ letter: Character, _ index: Int, _ output: Int, _ builder: inout ModelBuilder
    ) -> MixingProjection {
      builder.mixingProjection(
        letter, index, at: place, output: output, taps: family.taps, activation: .silu)
    }
    query = project("q", 0, shape.keyHeads * K, &builder)
    key = project("k", 1, shape.keyHeads * K, &builder)
    value = project("v", 2, heads * V, &builder)
    decay = (
      builder.linear(name + "f_proj.0", V, dimension),
      builder.linear(name + "f_proj.1", heads * K, V)
    )
    step = builder.linear(name + "b_proj", heads, dimension)
    (rate, rateBias) = builder.decayRates(at: place, heads: heads, channels: K)
    leastDecay = family.least.map { Float($0) }
    largestStep = family.doublesBeta ? 2 : 1
    kernel = DeltaRecurrence(
      .vector, keyDimension: K, valueDimension: shape.partDimension, scale: shape.scale)
    valueParts = shape.valueParts
    norm = builder.headNorm(
      "o_norm", at: place, valueDimension: V,
      gate: [
        builder.linear(name + "g_proj.0", V, dimension),
        builder.linear(name + "g_proj.1", heads * V, V, bias: true),
      ], activation: .sigmoid)
    output = builder.linear(name + "o_proj", dimension, heads * V)
  }

  /// Builds a layer of Kimi Linear, whose file has other names, rates of another shape and no bias of the gate.
  init(
    kimi shape: DeltaHeads, taps: Int, at place: MixerPlace, _ builder: inout ModelBuilder
  ) {
    let (name, dimension) = (place.name, place.dimension)
    layer = place.layer
    heads = shape.heads
    let (heads, K, V) = (shape.heads, shape.keyDimension, shape.valueDimension)
    func project(
      _ letter: Character, _ index: Int, _ output: Int, _ builder: inout ModelBuilder
    ) -> MixingProjection {
      builder.mixingProjection(
        letter, index, at: place, output: output, taps: taps, activation: .silu)
    }
    query = project("q", 0, heads * K, &builder)
    key = project("k", 1, heads * K, &builder)
    value = project("v", 2, heads * V, &builder)
    decay = (
      builder.linear(name + "f_a_proj", K, dimension),
      builder.linear(name + "f_b_proj", heads * K, K)
    )
    step = builder.linear(name + "b_proj", heads, dimension)
    rate = builder.part(
      name + "A_log", [heads], role: .bias, initialization: .drawn { log(1 + 15 * $1) })
    builder.fuse([rate], into: name + "A_log", [1, 1, heads, 1])
    rateBias = builder.parameter(
      name + "dt_bias", [heads * K], role: .bias,
      initialization: .drawn { SoftplusGate.initialBias($1) })
    (leastDecay, largestStep) = (nil, 1)
    kernel = DeltaRecurrence(
      .vector, keyDimension: K, valueDimension: shape.partDimension, scale: shape.scale)
    valueParts = shape.valueParts
    norm = builder.headNorm(
      "o_norm", at: place, valueDimension: V,
      gate: [
        builder.linear(name + "g_a_proj", K, dimension),
        builder.linear(name + "g_b_proj", heads * V, K),
      ], activation: .sigmoid)
    output = builder.linear(name + "o_proj", dimension, heads * V)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; q k [N, keyHeads·K]; v o [N, H·V]; g [N, H·K]; beta [N, H].
    let q = tape.l2Norm(
      try query(x, tape: tape, pass: pass), width: kernel.keyDimension, for: .products)
    let k = tape.l2Norm(
      try key(x, tape: tape, pass: pass), width: kernel.keyDimension, for: .products)
    let v = try value(x, tape: tape, pass: pass, for: .products)
    let f = try decay.up(decay.down(x, tape: tape), tape: tape)
    let g =
      if let leastDecay {
        tape.boundedGate(f, rate: rate, bias: rateBias, least: leastDecay)
      } else {
        tape.softplusGate(f, rate: rate, bias: rateBias)
      }
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
