import Autodiff
import SequenceParallel

/// Softmax attention with rotary positions, over all tokens before or a window of them.
///
/// Concretely: `o_t = Σ_j softmax_j(d^−½ q_t k_j) v_j`, `y = W_o o`; q and k normalised per head where the
/// model says so, then rotated by halves.
///
/// - Source: "Attention Is All You Need" (arXiv 1706.03762); "RoFormer" (2104.09864).
struct AttentionMixer: FlashLayer {
  typealias Family = Transformer

  let layer: Int
  let settings: AttentionSettings
  let query, key, value, output: Linear
  let queryNorm, keyNorm: Norm?
  let heads: HeadSplit

  init(_ family: Transformer, at place: MixerPlace, _ builder: inout ModelBuilder) {
    self.init(family.settings, at: place, &builder)
  }

  /// Builds a layer of a Transformer or of a hybrid.
  init(_ settings: AttentionSettings, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (name, dimension) = (place.name, place.dimension)
    layer = place.layer
    self.settings = settings
    let (heads, bias) = (settings.split(dimension), settings.hasBias)
    self.heads = heads
    query = builder.linear(name + "q_proj", dimension, dimension, bias: bias)
    key = builder.linear(name + "k_proj", heads.ownKeyWidth, dimension, bias: bias)
    value = builder.linear(name + "v_proj", heads.ownValueWidth, dimension, bias: bias)
    output = builder.linear(name + "o_proj", dimension, dimension)
    func norm(_ letter: Character, _ builder: inout ModelBuilder) -> Norm? {
      guard settings.normalizesKeys else { return nil }
      var norm = builder.norm(
        "\(name)\(letter)_norm.weight", width: heads.keyDimension, epsilon: 1e-5)
      norm.width = heads.keyDimension
      return norm
    }
    queryNorm = norm("q", &builder)
    keyNorm = norm("k", &builder)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x q o [N, D]; k v [N, keyHeads·d].
    func rotated(_ linear: Linear, _ norm: Norm?) throws -> Variable {
      let y = try linear(x, tape: tape)
      return tape.rotaryEmbedding(
        norm?(y, tape: tape) ?? y, dimension: heads.keyDimension, base: settings.base, pass: pass)
    }
    let o = try tape.attention(
      q: rotated(query, queryNorm), k: rotated(key, keyNorm), v: value(x, tape: tape),
      dimension: heads.keyDimension, window: settings.window,
      slot: CarrySlot(layer: layer, .window), pass: pass)
    return try output(o, adding: residual, tape: tape)
  }

  var attention: AttentionSize? {
    AttentionSize(heads: heads.heads, dimension: heads.keyDimension, window: settings.window)
  }

  var seesAllTokens: Bool { settings.window == nil }
}
