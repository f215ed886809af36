import Autodiff
import Kernels
import SequenceParallel
import Tensors

/// Comba's token mixer: the delta rule against the state before its decay.
///
/// Concretely, with `p = σ(decay) k` and `q − D p` in place of q, then q, k and p of length 1:
/// `S_t = e^{g_t} S_{t−1} + β_t k_tᵀ (v_t − p_t S_{t−1})` with `g = −e^A softplus(x W_a + b)`, `β = σ(x W_b)`;
/// `y = W_o(rms(o) ⊙ w ⊙ σ(x W_g))`.
///
/// - Source: arXiv 2506.02475.
struct CombaMixer: FlashLayer {
  let layer: Int
  /// Heads of the state.
  let heads: Int
  /// Heads of the kernel that a head's values are cut into.
  let valueParts: Int
  let kernel: LowRankRecurrence
  let query, key, value: MixingProjection
  let decay, step: Linear
  /// The logarithm of each head's rate of decay, and the bias of its step, `[H]`.
  let rate, rateBias: Parameter
  /// How much of its key a head reads and how much of that it takes off its query, `[keyHeads]`.
  let innerDecay, correction: Parameter
  let norm: HeadNorm
  let output: Linear

  init(_ family: Comba, at place: MixerPlace, _ builder: inout ModelBuilder) {
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
    decay = builder.linear(name + "a_proj", heads, dimension)
    step = builder.linear(name + "b_proj", heads, dimension)
    (rate, rateBias) = builder.decayRates(at: place, heads: heads)
    innerDecay = builder.parameter(
      name + "decay", [shape.keyHeads], role: .bias, initialization: .constant(1))
    correction = builder.parameter(
      name + "D", [shape.keyHeads], role: .bias, initialization: .constant(1))
    kernel = LowRankRecurrence(
      .scalar, keyDimension: K, valueDimension: shape.partDimension, scale: shape.scale)
    valueParts = shape.valueParts
    norm = builder.headNorm(
      "o_norm", at: place, heads: heads, valueDimension: V, isGated: family.isGated,
      activation: .sigmoid)
    output = builder.linear(name + "o_proj", dimension, heads * V)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; q k a [N, keyHeads·K]; v o [N, H·V]; written [N, H·K]; g beta [N, H].
    let K = kernel.keyDimension
    let k = try key(x, tape: tape, pass: pass)
    let negative = tape.headScale(k, innerDecay, factor: .negativeSigmoid)
    let q = tape.headScale(
      negative, correction, adding: try query(x, tape: tape, pass: pass))
    let v = try value(x, tape: tape, pass: pass, for: .products)
    let g = try tape.softplusGate(decay(x, tape: tape), rate: rate, bias: rateBias)
    let beta = try tape.sigmoid(step(x, tape: tape))
    // What a token writes of its value, it also erases of what the state holds.
    let written = tape.headProduct(
      tape.l2Norm(k, width: K, for: .products), beta, width: K, for: .products)
    let o = try tape.recurrence(
      kernel,
      RecurrenceInputs(
        q: tape.l2Norm(q, width: K, for: .products), k: written, v: v, g: g,
        a: tape.l2Norm(negative, width: K, for: .products),
        b: written),
      slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    return try output(norm(o, input: x, tape: tape), adding: residual, tape: tape)
  }

  var recurrences: [RecurrenceSize] {
    [RecurrenceSize(kernel, heads: heads, parts: valueParts)]
  }
}
