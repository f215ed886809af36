import Autodiff
import Kernels
import SequenceParallel
import Tensors

/// Sizes of latent attention.
struct LatentAttentionSettings {
  /// Heads of queries, keys and values.
  let heads: Int
  /// Numbers of a latent, of which keys and values are made; of one of which queries are made, nil for none.
  let latent: Int
  let queryLatent: Int?
  /// Numbers of a key that are a head's own, and that all heads share; numbers of a value.
  let own, shared, value: Int
  /// Whether the projections to latents and out have biases.
  let hasBias: Bool

  /// The epsilon of the latents' norms, whatever that of the model is.
  static let normEpsilon: Float = 1e-6

  /// Numbers of a key.
  var key: Int { own + shared }

  /// Why it cannot be, and what to do; nil where it can.
  var problem: String? {
    for (name, width) in [("keys", heads * key), ("values", heads * value)] where width > 1 << 24 {
      return "the \(name) are \(width) wide, and \(1 << 24) is the most; use fewer or smaller heads"
    }
    return nil
  }
}

/// Latent attention without positions: softmax attention whose keys and values are made of a narrow latent of each token, and
/// of a part of the key that all heads share.
///
/// Concretely: `c, s = x W_a`, `ĉ = rms(c) ⊙ w`; of each head `k = [ĉ W_k, s]`, `v = ĉ W_v`;
/// `o_t = Σ_j softmax_j(d^−½ q_t k_j) v_j`, `y = W_o o`. Ranks send each other `[ĉ, s]`.
///
/// - Source: DeepSeek-V2 (arXiv 2405.04434), section 2.1; Kimi Linear (2510.26692) for the absence of positions.
struct LatentAttentionMixer: TokenMixer {
  /// How queries are made: of the input, or of a latent of it.
  private enum Queries {
    case direct(Linear)
    case latent(down: Linear, norm: Norm, up: Linear)
  }

  let layer: Int
  let settings: LatentAttentionSettings
  private let queries: Queries
  private let latent, shared: Linear
  private let latentNorm: Norm
  private let keys, values: Linear
  private let output: Linear

  init(
    _ settings: LatentAttentionSettings, at place: MixerPlace, _ builder: inout ModelBuilder
  ) {
    let (name, dimension, bias) = (place.name, place.dimension, settings.hasBias)
    (layer, self.settings) = (place.layer, settings)
    let epsilon = LatentAttentionSettings.normEpsilon
    let queryWidth = settings.heads * settings.key
    if let width = settings.queryLatent {
      queries = .latent(
        down: builder.linear(name + "q_a_proj", width, dimension, bias: bias),
        norm: builder.norm(name + "q_a_layernorm.weight", width: width, epsilon: epsilon),
        up: builder.linear(name + "q_b_proj", queryWidth, width))
    } else {
      queries = .direct(builder.linear(name + "q_proj", queryWidth, dimension))
    }
    let compressed = builder.fused(
      name + "kv_a_proj_with_mqa",
      parts: [("latent", settings.latent), ("shared_key", settings.shared)], input: dimension,
      bias: bias)
    (latent, shared) = (compressed[0], compressed[1])
    latentNorm = builder.norm(
      name + "kv_a_layernorm.weight", width: settings.latent, epsilon: epsilon)
    let expanded = builder.fused(
      name + "kv_b_proj",
      parts: [
        ("key", settings.heads * settings.own), ("value", settings.heads * settings.value),
      ], groups: settings.heads, input: settings.latent, bias: false)
    (keys, values) = (expanded[0], expanded[1])
    output = builder.linear(
      name + "o_proj", dimension, settings.heads * settings.value, bias: bias)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; q k [N, H·d]; v o [N, H·V]; latents [N, r]; shared keys [N, s].
    let latents = try latentNorm(latent(x, tape: tape), tape: tape)
    let o = try tape.latentAttention(
      q: query(x, tape: tape), latent: latents, shared: shared(x, tape: tape),
      dimension: settings.key, valueDimension: settings.value,
      scale: 1 / Float(settings.key).squareRoot(), slot: CarrySlot(layer: layer, .window),
      pass: pass, expansion: expand, absorption: absorption)
    return try output(o, adding: residual, tape: tape)
  }

  private func query(_ x: Variable, tape: Tape) throws -> Variable {
    switch queries {
    case .direct(let linear):
      return try linear(x, tape: tape, for: .products)
    case .latent(let down, let norm, let up):
      let y = try norm(down(x, tape: tape), tape: tape, for: .products)
      return try up(y, tape: tape, for: .products)
    }
  }

  /// Keys and values of all heads.
  private func expand(
    _ latent: Variable, _ shared: Variable, tape: Tape
  ) throws -> (k: Variable, v: Variable) {
    let own = try keys(latent, tape: tape, for: .products)
    return (
      tape.withShared(own, shared, heads: settings.heads, for: .products),
      try values(latent, tape: tape, for: .products)
    )
  }

  /// The same by weights that work on queries and outputs.
  private var absorption: KeyAbsorption {
    KeyAbsorption(
      queries: { $1.headProducts($0, keys.weight, heads: settings.heads) },
      values: { $1.headProducts($0, values.weight, heads: settings.heads, transposed: true) })
  }

  var attention: AttentionSize? {
    AttentionSize(
      heads: settings.heads, dimension: settings.key, valueDimension: settings.value, window: nil)
  }

  var seesAllTokens: Bool { true }
}
