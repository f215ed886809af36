import Autodiff
import Kernels
import SequenceParallel
import Tensors

/// Lizard's layer: linear attention over learned features with a learned gate in place of positions, and softmax attention
/// in a window and to meta tokens.
///
/// Concretely: `o = a + α b`. a: `S_t = γ_t S_{t−1} + φ(k_t)ᵀ [v_t, 1]`, `[N, d] = φ(q_t) S_t`, `a = N / (d + 1e-12)`, with
/// `γ_t = σ(W_γ x_t)` of each head and queries and keys without positions. b: one softmax over the last `window` tokens, with
/// positions, and over m learned keys and values that every query sees.
///
/// - Source: Lizard (arXiv 2507.09025), section 3.
struct GatedFeatureAttention: AttentionSubstitute {
  let layer: Int
  let heads: HeadSplit
  let queryMap, keyMap: HeadFeatureProjection
  let gate: Linear
  let span: AttentionSpan
  /// Keys and values that every query sees, each `[m, H, d]`; nil for none.
  let meta: (k: Parameter, v: Parameter)?
  /// m.
  let metaTokens: Int
  /// α, one number.
  let mixing: Parameter
  private let kernel: DiagonalRecurrence

  /// Added to sums of weights.
  private static let epsilon: Float = 1e-12

  init(
    _ settings: FeatureProjectionSettings, window: Int, metaTokens m: Int, heads: HeadSplit,
    at place: MixerPlace, _ builder: inout ModelBuilder
  ) {
    (layer, self.heads, metaTokens) = (place.layer, heads, m)
    let name = place.name
    queryMap = builder.featureProjection(settings, name + "feature_map_q.mlp", heads: heads)
    keyMap = builder.featureProjection(settings, name + "feature_map_k.mlp", heads: heads)
    gate = builder.linear(name + "gate_proj", heads.heads, place.dimension)
    span = .sliding(window)
    let deviation = builder.deviation
    func tokens(_ name: String, _ builder: inout ModelBuilder) -> Parameter {
      builder.parameter(
        name, [m, heads.heads, heads.keyDimension], role: .matrix,
        initialization: .normal(deviation: deviation))
    }
    meta =
      m == 0
      ? nil : (tokens(name + "meta_keys", &builder), tokens(name + "meta_values", &builder))
    mixing = builder.parameter(
      name + "mixing_weight", [1], role: .bias, initialization: .constant(1))
    kernel = DiagonalRecurrence(
      .scalar, keyDimension: queryMap.count, valueDimension: heads.valueDimension,
      normalizer: Self.epsilon)
  }

  func callAsFunction(
    _ inputs: AttentionInputs, tape: Tape, pass: SequencePass, for readers: Readers
  ) throws -> Variable {
    // Shapes: q [N, H·d]; k v [N, keyHeads·d]; features [N, H·F]; g [N, H].
    let g = tape.logSigmoidGate(try gate(inputs.x, tape: tape), divisor: 1)
    let a = try tape.recurrence(
      kernel,
      RecurrenceInputs(
        q: queryMap(inputs.q, tape: tape), k: keyMap(inputs.k, tape: tape), v: inputs.v, g: g),
      slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    let recent = try tape.recentTokens(
      k: inputs.rotatedK, v: inputs.v, span: span, leaving: false,
      slot: CarrySlot(layer: layer, .window), pass: pass)
    let b = try tape.windowAttention(
      q: inputs.rotatedQ, recent: recent, span: span, meta: meta, dimension: heads.keyDimension)
    return tape.headScale(b, mixing, adding: a, for: readers)
  }

  var recurrences: [RecurrenceSize] { [RecurrenceSize(kernel, heads: heads.heads)] }

  var attention: AttentionSize? {
    AttentionSize(
      heads: heads.heads, dimension: heads.keyDimension, span: span, extra: metaTokens)
  }
}
