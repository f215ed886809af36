import Autodiff
import SequenceParallel

/// Softmax attention with rotary positions, over all tokens before or a window of them.
///
/// Concretely: `o_t = Σ_j softmax_j(d^−½ q_t k_j) v_j`, `y = W_o o`; q and k normalised per head where the
/// model says so, then the first numbers of a head rotated by halves. A model may have another scale than `d^−½`.
///
/// - Source: "Attention Is All You Need" (arXiv 1706.03762); "RoFormer" (2104.09864).
struct AttentionMixer: FlashLayer {
  typealias Family = Transformer

  let layer: Int
  let window: Int?
  let scale: Float?
  let projections: AttentionProjections

  init(_ family: Transformer, at place: MixerPlace, _ builder: inout ModelBuilder) {
    self.init(family.settings, at: place, &builder)
  }

  /// Builds a layer of a Transformer or of a hybrid.
  init(_ settings: AttentionSettings, at place: MixerPlace, _ builder: inout ModelBuilder) {
    (layer, window, scale) = (place.layer, settings.window, settings.scale)
    projections = AttentionProjections(settings, at: place, &builder)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; q o [N, H·d]; k v [N, keyHeads·d].
    let (q, k, v) = try projections(x, tape: tape, for: .products)
    let o = try tape.attention(
      q: projections.rotated(q, tape: tape, pass: pass, for: .products),
      k: projections.rotated(k, tape: tape, pass: pass, for: .products), v: v,
      dimension: projections.heads.keyDimension, window: window, scale: scale,
      slot: CarrySlot(layer: layer, .window), pass: pass)
    return try projections.output(o, input: x, adding: residual, tape: tape)
  }

  var attention: AttentionSize? {
    let heads = projections.heads
    return AttentionSize(heads: heads.heads, dimension: heads.keyDimension, window: window)
  }

  var seesAllTokens: Bool { window == nil }
}
