import Autodiff
import Kernels
import SequenceParallel
import Tensors

/// Gated DeltaProduct's token mixer: several steps of the delta rule a token.
///
/// Concretely: `S ← e^{g_t} S` where there is a decay, `S ← S + β_tj k_tjᵀ (v_tj − k_tj S)` for each of the token's steps j,
/// then `o_t = scale · q_t S`; `g = −e^A softplus(x W_a + b)`, `β = σ(x W_b)`, and q and k of length 1;
/// `y = W_o(rms(o) ⊙ w ⊙ silu(x W_g))`.
///
/// - Source: DeltaProduct (arXiv 2502.10297).
struct GatedDeltaProductMixer: FlashLayer {
  let layer: Int
  let heads: Int
  /// Steps a token.
  let steps: Int
  /// Heads of the kernel that a head's values are cut into.
  let valueParts: Int
  let kernel: DeltaRecurrence
  let query, key, value: MixingProjection
  let step: Linear
  /// The decay's projection, the logarithm of each head's rate and the bias of its step, `[H]`; nil for no decay.
  let decay: (projection: Linear, rate: Parameter, bias: Parameter)?
  /// The largest β: 1, or 2 where eigenvalues may be negative.
  let largestStep: Float
  let norm: HeadNorm
  let output: Linear

  init(_ family: GatedDeltaProduct, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (name, dimension) = (place.name, place.dimension)
    layer = place.layer
    let shape = family.shape
    (heads, steps) = (shape.heads, family.steps)
    let (K, V) = (shape.keyDimension, shape.valueDimension)
    func project(
      _ letter: Character, _ index: Int, _ output: Int, _ builder: inout ModelBuilder
    ) -> MixingProjection {
      builder.mixingProjection(
        letter, index, at: place, output: output, taps: family.taps, activation: .silu)
    }
    query = project("q", 0, heads * K, &builder)
    key = project("k", 1, steps * heads * K, &builder)
    value = project("v", 2, steps * heads * V, &builder)
    step = builder.linear(name + "b_proj", steps * heads, dimension)
    if family.forgets {
      let projection = builder.linear(name + "a_proj", heads, dimension)
      let (rate, bias) = builder.decayRates(at: place, heads: heads)
      decay = (projection, rate, bias)
    } else {
      decay = nil
    }
    largestStep = family.doublesBeta ? 2 : 1
    kernel = DeltaRecurrence(
      family.forgets ? .scalar : .none, keyDimension: K, valueDimension: shape.partDimension,
      scale: shape.scale)
    valueParts = shape.valueParts
    norm = builder.headNorm(
      "o_norm", at: place, heads: heads, valueDimension: V, isGated: family.isGated)
    output = builder.linear(name + "o_proj", dimension, heads * V)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes, with n steps: x [N, D]; q [N, H·K]; k [N, n·H·K]; v [N, n·H·V]; o [N, H·V]; g [N, H]; beta [N, n·H].
    let q = tape.l2Norm(
      try query(x, tape: tape, pass: pass), width: kernel.keyDimension, for: .products)
    let k = tape.l2Norm(
      try key(x, tape: tape, pass: pass), width: kernel.keyDimension, for: .products)
    let v = try value(x, tape: tape, pass: pass, for: .products)
    let g = try decay.map {
      tape.softplusGate(try $0.projection(x, tape: tape), rate: $0.rate, bias: $0.bias)
    }
    let beta = try tape.sigmoid(step(x, tape: tape), scale: largestStep)
    let o = try tape.recurrence(
      kernel, RecurrenceInputs(q: q, k: k, v: v, g: g, beta: beta), steps: steps,
      slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    return try output(norm(o, input: x, tape: tape), adding: residual, tape: tape)
  }

  var recurrences: [RecurrenceSize] {
    [RecurrenceSize(kernel, heads: heads, parts: valueParts, steps: steps)]
  }
}
