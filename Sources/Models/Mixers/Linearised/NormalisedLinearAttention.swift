import Autodiff
import Kernels
import SequenceParallel
import Tensors

/// Linear attention over learned features, divided by the sum of its weights, with softmax attention in a window over the
/// same denominator or without: LoLCATs', Hedgehog's and T2R's layer.
///
/// Concretely: `o_i = (Σ e_ij v_j + Σ l_ij v_j) / (Σ e_ij + Σ l_ij)`, with `e_ij = μ e^{s_ij − m_i}` over the window, whose
/// largest score is `m_i`, and `l_ij = ν φ(q_i)·φ(k_j)` over the keys before it, or over all.
///
/// - Source: LoLCATs (arXiv 2410.10254), section 3; Hedgehog (2402.04347); T2R (2103.13076).
struct NormalisedLinearAttention: AttentionSubstitute {
  /// The window and how its weights are mixed with the others.
  struct Window: Sendable {
    let span: AttentionSpan
    /// Shape `[1, H, 1, 1]`: μ is their sigmoid.
    let factors: Parameter
    /// Whether ν is `1 − μ`, and not 1.
    let isAffine: Bool
  }

  let layer: Int
  let heads: HeadSplit
  let queryMap, keyMap: HeadFeatureProjection
  /// Nil for linear attention to all tokens.
  let window: Window?
  private let kernel: DiagonalRecurrence

  /// Added to sums of weights where no window keeps them from vanishing.
  private static let epsilon: Float = 1e-12
  /// What factors begin with: a sigmoid of 0.1.
  static let firstFactor = -2.19722

  init(
    _ settings: FeatureProjectionSettings, window: (span: AttentionSpan, isAffine: Bool)?,
    heads: HeadSplit, at place: MixerPlace, _ builder: inout ModelBuilder
  ) {
    (layer, self.heads) = (place.layer, heads)
    queryMap = builder.featureProjection(settings, place.name + "feature_map_q.mlp", heads: heads)
    keyMap = builder.featureProjection(settings, place.name + "feature_map_k.mlp", heads: heads)
    self.window = window.map {
      Window(
        span: $0.span,
        factors: builder.parameter(
          place.name + "window_factors", [1, heads.heads, 1, 1], role: .bias,
          initialization: .constant(Self.firstFactor)),
        isAffine: $0.isAffine)
    }
    kernel = DiagonalRecurrence(
      .none, keyDimension: queryMap.count,
      valueDimension: heads.valueDimension + (window == nil ? 0 : 1),
      normalizer: window == nil ? Self.epsilon : nil)
  }

  func callAsFunction(
    _ inputs: AttentionInputs, tape: Tape, pass: SequencePass, for readers: Readers
  ) throws -> Variable {
    // Shapes: q [N, H·d]; k v [N, keyHeads·d]; features [N, H·F]; sums [N, H·(d+1)].
    let q = queryMap(inputs.rotatedQ, tape: tape)
    let state = CarrySlot(layer: layer, .state(0))
    guard let window else {
      // It keeps its output for its twin, which products read a copy of.
      return try tape.recurrence(
        kernel, RecurrenceInputs(q: q, k: keyMap(inputs.rotatedK, tape: tape), v: inputs.v),
        slot: state, pass: pass)
    }
    let recent = try tape.recentTokens(
      k: inputs.rotatedK, v: inputs.v, span: window.span, leaving: true,
      slot: CarrySlot(layer: layer, .window), pass: pass)
    let near = try tape.windowSums(
      q: inputs.rotatedQ, recent: recent, span: window.span, dimension: heads.keyDimension)
    let left = tape.leavingTokens(recent, span: window.span, heads: heads.keyHeads)
    var far = try tape.leavingAttention(
      q: q, k: keyMap(left.k, tape: tape), v: left.v, recent: recent, span: window.span,
      heads: heads.heads, valueHeads: heads.keyHeads, slot: state)
    if window.isAffine { far = tape.headScale(far, window.factors, factor: .complementOfSigmoid) }
    let sums = tape.headScale(near, window.factors, factor: .sigmoid, adding: far)
    return tape.normalized(sums, heads: heads.heads, epsilon: 0, for: readers)
  }

  func features(_ inputs: AttentionInputs, tape: Tape) -> AttentionFeatures? {
    AttentionFeatures(
      q: queryMap(inputs.rotatedQ, tape: tape), k: keyMap(inputs.rotatedK, tape: tape),
      count: queryMap.count)
  }

  var featureCount: Int? { queryMap.count }

  var recurrences: [RecurrenceSize] { [RecurrenceSize(kernel, heads: heads.heads)] }

  var attention: AttentionSize? {
    window.map { AttentionSize(heads: heads.heads, dimension: heads.keyDimension, span: $0.span) }
  }
}
