import Autodiff
import SequenceParallel

/// Softmax attention with rotary positions, over all tokens before or a window of them.
///
/// Concretely: `o_t = Σ_j softmax_j(d^−½ q_t k_j) v_j`, `y = W_o o`; q and k normalised per head where the
/// model says so, then rotated by halves.
///
/// - Source: "Attention Is All You Need" (arXiv 1706.03762); "RoFormer" (2104.09864).
struct AttentionMixer: TokenMixer {
  let layer: Int
  let settings: AttentionSettings
  let query, key, value, output: Linear
  let queryNorm, keyNorm: Norm?

  init(
    _ settings: AttentionSettings, layer: Int, dimension: Int, name: String,
    _ builder: inout ModelBuilder
  ) {
    self.layer = layer
    self.settings = settings
    let (split, bias) = (settings.split(dimension), settings.hasBias)
    query = builder.linear(name + "q_proj", dimension, dimension, bias: bias)
    key = builder.linear(name + "k_proj", split.ownKeyWidth, dimension, bias: bias)
    value = builder.linear(name + "v_proj", split.ownValueWidth, dimension, bias: bias)
    output = builder.linear(name + "o_proj", dimension, dimension)
    func norm(_ letter: Character, _ builder: inout ModelBuilder) -> Norm? {
      guard settings.normalizesKeys else { return nil }
      var norm = builder.norm(
        "\(name)\(letter)_norm.weight", width: split.keyDimension, epsilon: 1e-5)
      norm.width = split.keyDimension
      return norm
    }
    queryNorm = norm("q", &builder)
    keyNorm = norm("k", &builder)
    (heads, dimensionOfHead) = (split.heads, split.keyDimension)
  }

  private let heads, dimensionOfHead: Int

  func callAsFunction(
    _ x: Variable, adding residual: Variable, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x q o [N, D]; k v [N, keyHeads·d].
    func rotated(_ linear: Linear, _ norm: Norm?) throws -> Variable {
      let y = try linear(x, tape: tape)
      return tape.rotaryEmbedding(
        norm?(y, tape: tape) ?? y, dimension: dimensionOfHead, base: settings.base, pass: pass)
    }
    let o = try tape.attention(
      q: rotated(query, queryNorm), k: rotated(key, keyNorm), v: value(x, tape: tape),
      dimension: dimensionOfHead, window: settings.window,
      slot: CarrySlot(layer: layer, .window), pass: pass)
    return try output(o, adding: residual, tape: tape)
  }

  var attention: AttentionSize? {
    AttentionSize(heads: heads, dimension: dimensionOfHead, window: settings.window)
  }

  var seesAllTokens: Bool { settings.window == nil }
}
