import Configuration
import Foundation
import Kernels
import Tensors

/// TransNormerLLM (TNL): linear attention with a fixed decay per head, and SimpleRMSNorm.
///
/// Concretely: `x += W_o(u ⊙ SRMS(o))` with `q, k = silu(x W)`, then `x += W_3(x W_1 ⊙ x W_2)`, both of `SRMS(x)`.
///
/// - Source: arXiv 2307.14995; its Hugging Face layout.
package struct TransNormerLLM: Architecture {
  /// `tnl`.
  package static let mixers = ["tnl"]
  /// `transnormer`.
  package static let modelType = "transnormer"
  package static let card = ModelCard(
    "TransNormerLLM", recurrence: "fixed decay", papers: ["2307.14995"])
  package static let sharedKeys: Set<String> = ["bias"]
  package static let takesExperts = true
  package static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.tnl` section.
  package struct Keys: ConfigurationSection {
    package static let name = "model.tnl"
    package static let documentation = "What only TransNormerLLM has."

    @Key(
      "hidden", .model, formerly: "model.hidden",
      "Width of queries, keys, values and gates, all heads together; 0 = dimension.")
    package var hidden = 0

    @Key(
      "lrpe_layers", .model, formerly: "model.lrpe_layers",
      "Blocks, from 0, whose queries and keys learned angles rotate.")
    package var lrpeLayers: [Int] = []

    @Key(
      "scale_embedding", .model, formerly: "model.scale_embedding",
      "Whether embeddings are multiplied by √dimension.")
    package var scaleEmbedding = true

    package init() {}

    /// `hidden`, or the model's width where it is 0.
    func width(of dimension: Int) -> Int { hidden > 0 ? hidden : dimension }
  }

  /// Width of the residual stream.
  package let dimension: Int
  /// Number of blocks.
  package let depth: Int
  /// Number of tokens.
  package let vocabulary: Int
  /// Standard deviation of the initial weights.
  package let initialDeviation: Double
  let heads: Int
  let hidden: Int
  let glu: Int
  let lrpeLayers: Set<Int>
  let scalesEmbedding: Bool
  let bias: Bool
  let norms: NormPlacement
  let experts: ExpertSettings?

  /// Heads that do not divide the width, layers that are not there, keys that it does not have.
  package static func problems(_ section: ModelSection) -> [KeyProblem] {
    var found: [KeyProblem] = []
    let keys = section.subsections[Keys.self]
    let (heads, width) = (section.heads, keys.width(of: section.dimension))
    if width % heads != 0 {
      found.append(
        KeyProblem(
          "heads", keys.hidden > 0 ? "model.tnl.hidden" : "dimension",
          message: "\(heads) heads do not divide a width of \(width); "
            + "choose a divisor of \(width), or another width"))
    }
    if let most = tooWide(width / heads, rotates: !keys.lrpeLayers.isEmpty) {
      found.append(
        KeyProblem(
          "heads", keys.hidden > 0 ? "model.tnl.hidden" : "dimension",
          message:
            "\(heads) heads cut a width of \(width) into \(width / heads) numbers each, and \(most) is the "
            + "most; use at least \((width + most - 1) / most) heads"))
    }
    if let beyond = keys.lrpeLayers.first(where: { $0 >= section.depth }) {
      found.append(
        KeyProblem(
          "model.tnl.lrpe_layers", "depth",
          message: "there is no block \(beyond) in a depth of \(section.depth); "
            + "name blocks from 0 to \(section.depth - 1)"))
    }
    if section.hasAttentionLayers {
      found.append(
        KeyProblem(
          "layers",
          message: "the mixer tnl has no attention layers beside it; choose another mixer"))
    }
    return found + section.unread(by: "tnl", reading: sharedKeys)
  }

  /// The most numbers that a head may have, where it has more.
  ///
  /// - Parameter rotates: Whether some layers' keys are rotated, which makes two numbers of each.
  private static func tooWide(_ head: Int, rotates: Bool) -> Int? {
    let keys = DiagonalRecurrence.mostKeys / (rotates ? 2 : 1)
    let most = min(keys, DiagonalRecurrence.mostValues)
    return head > most ? most : nil
  }

  /// The model that a run file describes.
  package init(_ section: ModelSection, vocabulary: Int) {
    dimension = section.dimension
    depth = section.depth
    self.vocabulary = vocabulary
    initialDeviation = section.initStd
    heads = section.heads
    let keys = section.subsections[Keys.self]
    hidden = keys.width(of: dimension)
    // 8 D / 3 rounded up to a multiple of 64.
    glu = section.glu > 0 ? section.glu : (dimension * 8 + 191) / 192 * 64
    lrpeLayers = Set(keys.lrpeLayers)
    scalesEmbedding = keys.scaleEmbedding
    bias = section.bias
    norms = NormPlacement(section)
    experts = ExpertSettings(section)
  }

  /// The model that a `config.json` describes.
  package init(_ keys: ModelKeys) throws(ModelError) {
    dimension = keys.positive("decoder_embed_dim")
    depth = keys.depth("decoder_layers")
    vocabulary = keys.positive("vocab_size")
    initialDeviation = keys.deviation("init_std", default: 0.02)
    heads = keys.positive("decoder_attention_heads")
    hidden = keys.positive("hidden_dim", default: dimension)
    glu =
      keys.integer("glu_dim", default: -1) == -1
      ? dimension : keys.positive("glu_dim", default: dimension)
    // One flag a layer, 0 or 1; an empty list means none.
    let flags = keys.flags("linear_use_lrpe_list") ?? []
    lrpeLayers = Set(flags.indices.filter { flags[$0] })
    scalesEmbedding = !keys.boolean("no_scale_embedding", default: false)
    bias = keys.boolean("bias", default: false)
    norms = NormPlacement(keys)
    experts = ExpertSettings(keys)
    keys.require("linear_act_fun", "silu")
    keys.require("norm_type", "simplermsnorm")
    guard hidden % heads == 0 else {
      throw .impossible(key: "hidden_dim", reason: "\(heads) heads do not divide \(hidden)")
    }
    if let most = Self.tooWide(hidden / heads, rotates: !lrpeLayers.isEmpty) {
      throw .impossible(
        key: "decoder_attention_heads",
        reason:
          "\(heads) heads cut a width of \(hidden) into \(hidden / heads) numbers each, and \(most) is the most"
      )
    }
    guard flags.isEmpty || flags.count == depth else {
      throw .impossible(
        key: "linear_use_lrpe_list",
        reason:
          "it has \(flags.count) flags for \(depth) layers; it must be empty or name every layer")
    }
  }

  /// The `config.json` of this model.
  package var configuration: [String: JSONValue] {
    [
      "architectures": ["TransnormerForCausalLM"], "model_type": .string(Self.modelType),
      "vocab_size": .integer(vocabulary), "decoder_embed_dim": .integer(dimension),
      "hidden_dim": .integer(hidden), "decoder_layers": .integer(depth),
      "decoder_attention_heads": .integer(heads), "glu_dim": .integer(glu),
      "linear_act_fun": "silu", "norm_type": "simplermsnorm",
      "linear_use_lrpe_list": .array(
        lrpeLayers.isEmpty ? [] : (0..<depth).map { .integer(lrpeLayers.contains($0) ? 1 : 0) }),
      "no_scale_embedding": .bool(!scalesEmbedding), "bias": .bool(bias),
      "init_std": .number(initialDeviation),
    ].merging(norms.configuration) { $1 }.merging(experts?.configuration ?? [:]) { $1 }
  }

  /// √D, or 1.
  package var embeddingScale: Float { scalesEmbedding ? Float(dimension).squareRoot() : 1 }
  /// 1e-6.
  package let normEpsilon: Float = 1e-6
  package let tiesEmbedding = false
  /// The final norm has no weight.
  package let outerNames: (embedding: String, norm: String?, head: String) = (
    "model.embed_tokens.weight", nil, "lm_head.weight"
  )

  /// Builds one block.
  package func block(_ layer: Int, region: Int, _ builder: inout ModelBuilder) -> Block {
    let prefix = "model.layers.\(layer)."
    let norm = Norm(weight: nil, epsilon: normEpsilon)
    let place = MixerPlace(
      layer: layer, depth: depth, dimension: dimension, epsilon: normEpsilon,
      name: prefix + "token_mixer.")
    let mixer = TNLMixer(self, at: place, &builder)
    let name = prefix + "channel_mixer."
    let around = norms.around(norm, block: layer, depth: depth)
    if let experts {
      let channels = builder.experts(
        name, experts, layer: layer, dimension: dimension, width: glu)
      return Block(region: region, mixer: mixer, norms: around, channels: (channels, around))
    }
    let channels = SGLU(
      l1: builder.linear(name + "l1", glu, dimension, bias: bias),
      l2: builder.linear(name + "l2", glu, dimension, bias: bias),
      l3: builder.linear(name + "l3", dimension, glu, bias: bias))
    return Block(region: region, mixer: mixer, norms: around, channels: (channels, around))
  }

  /// Each head's log decay: `−s_h (1 − l/(L−1) + 1e-5)`; the layer's factor is 1 where there is one layer.
  func logDecay(layer: Int) -> [Float] {
    let position = depth > 1 ? Double(layer) / Double(depth - 1) : 0
    let factor = depth > 1 ? 1 - position + 1e-5 : 1
    return Self.slopes(heads).map { Float(-$0 * factor) }
  }

  /// ALiBi's slopes: `2^{−8h/H}` for a power of two, else those of the power below, filled up with every
  /// other slope of the power above.
  static func slopes(_ heads: Int) -> [Double] {
    if heads & (heads - 1) == 0 {
      return (1...heads).map { pow(2, -8 * Double($0) / Double(heads)) }
    }
    let lower = 1 << (Int.bitWidth - 1 - heads.leadingZeroBitCount)
    let upper = slopes(2 * lower).enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
    return slopes(lower) + upper.prefix(heads - lower)
  }
}
