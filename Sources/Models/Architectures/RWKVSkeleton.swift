import Configuration
import Foundation
import SequenceParallel
import Tensors

/// What RWKV's models share around their mixers: layer norms, and a channel mixer that sees the token before.
///
/// Concretely: in block 0 `x = ln(x)` where norms come first; `x += mixer(ln(x))`, `x += channels(ln(x))`. In a hybrid
/// some layers are softmax attention.
struct RWKVSkeleton {
  let dimension, depth, vocabulary: Int
  let initialDeviation: Double
  let normEpsilon: Float
  let tiesEmbedding: Bool
  let hiddenRatio: Double
  /// Width of the channel mixer, or nil for what follows from `hiddenRatio`.
  let intermediate: Int?
  /// Whether the embedding is normalised before block 0; whether the layer norms have biases.
  let isNormFirst, hasNormBias: Bool
  let norms: NormPlacement
  /// The layers that are softmax attention, and what it is like; nil for none.
  let attention: HybridAttention?

  /// What a run file describes.
  init(
    _ section: ModelSection, vocabulary: Int, hiddenRatio: Double, isNormFirst: Bool,
    hasNormBias: Bool
  ) {
    (dimension, depth) = (section.dimension, section.depth)
    self.vocabulary = vocabulary
    initialDeviation = section.initStd
    normEpsilon = 1e-5
    tiesEmbedding = section.tieEmbeddings
    self.hiddenRatio = hiddenRatio
    intermediate = section.glu > 0 ? section.glu : nil
    (self.isNormFirst, self.hasNormBias) = (isNormFirst, hasNormBias)
    norms = NormPlacement(section)
    let layers = section.mixerOfLayer.indices.filter {
      section.mixerOfLayer[$0] == FlashLayers.attention
        || section.mixerOfLayer[$0] == FlashLayers.fullAttention
    }
    attention =
      layers.isEmpty ? nil : HybridAttention(layers: layers, settings: AttentionSettings(section))
  }

  /// What a `config.json` describes.
  init(_ keys: ModelKeys, hiddenRatio: Double) {
    dimension = keys.positive("hidden_size", default: 2048)
    depth = keys.depth("num_hidden_layers", default: 24)
    vocabulary = keys.positive("vocab_size", default: 32000)
    initialDeviation = keys.deviation("initializer_range", default: 0.02)
    normEpsilon = keys.epsilon("norm_eps", default: 1e-5)
    tiesEmbedding = keys.boolean("tie_word_embeddings", default: false)
    self.hiddenRatio = keys.ratio("hidden_ratio", default: hiddenRatio)
    intermediate = keys.optionalPositive("intermediate_size")
    keys.require("hidden_act", "sqrelu")
    isNormFirst = keys.boolean("norm_first", default: true)
    hasNormBias = keys.boolean("norm_bias", default: true)
    norms = NormPlacement(keys)
    attention = HybridAttention(keys, depth: depth)
  }

  /// Why the attention layers cannot be; nil where they can.
  var attentionProblem: String? { attention?.settings.split(dimension).problem }

  /// What a run file has wrong beside the mixer's own sizes.
  ///
  /// - Parameter keys: The keys of several families that the family reads.
  static func problems(
    _ section: ModelSection, family: String, reading keys: Set<String>, problem: String?
  ) -> [KeyProblem] {
    let skeleton = RWKVSkeleton(
      section, vocabulary: 1, hiddenRatio: 4, isNormFirst: true, hasNormBias: true)
    var found = (problem ?? skeleton.attentionProblem).map {
      [KeyProblem("heads", "dimension", message: $0)]
    }
    if section.window != nil, section.mixerOfLayer.contains(FlashLayers.fullAttention) {
      found =
        (found ?? []) + [
          KeyProblem(
            "layers",
            message: "\(family) cannot have attention with a window and without one; "
              + "name all such layers \(FlashLayers.attention), or remove the window")
        ]
    }
    let read = skeleton.attention == nil ? keys : keys.union(["kv_heads", "window"])
    return (found ?? []) + section.unread(by: family, reading: read)
  }

  /// Its keys of `config.json`.
  var configuration: [String: JSONValue] {
    var keys: [String: JSONValue] = [
      "vocab_size": .integer(vocabulary), "hidden_size": .integer(dimension),
      "num_hidden_layers": .integer(depth),
      "hidden_ratio": .whole(hiddenRatio),
      "intermediate_size": .optional(intermediate), "hidden_act": "sqrelu",
      "norm_first": .bool(isNormFirst), "norm_bias": .bool(hasNormBias),
      "norm_eps": .shortest(normEpsilon),
      "initializer_range": .number(initialDeviation),
      "tie_word_embeddings": .bool(tiesEmbedding),
    ]
    if let attention { keys["attn"] = attention.configuration }
    return keys.merging(norms.configuration) { $1 }
  }

  /// `32 · ⌈⌊D · ratio⌋ / 32⌉`, unless it is given.
  var channelWidth: Int {
    intermediate ?? (Int(Double(dimension) * hiddenRatio) + 31) / 32 * 32
  }

  func norm(_ name: String, _ builder: inout ModelBuilder) -> LayerNorm {
    builder.layerNorm(name, columns: dimension, bias: hasNormBias, epsilon: normEpsilon)
  }

  /// A block around a family's mixers.
  func block(
    _ layer: Int, region: Int, _ builder: inout ModelBuilder,
    mixer: (MixerPlace, inout ModelBuilder) -> any TokenMixer,
    channels: (_ name: String, _ shift: TokenShift, inout ModelBuilder) -> ShiftedChannels
  ) -> Block {
    let prefix = "model.layers.\(layer)."
    func around(_ name: String, _ builder: inout ModelBuilder) -> Block.Norms {
      norms.around(norm(prefix + name, &builder), block: layer, depth: depth)
    }
    // Parameters lie in the order in which they are added.
    let entry = layer == 0 && isNormFirst ? norm(prefix + "pre_norm", &builder) : nil
    let mixerNorms = around("attn_norm", &builder)
    let place = MixerPlace(
      layer: layer, depth: depth, dimension: dimension, epsilon: normEpsilon, name: prefix + "attn."
    )
    let tokenMixer: any TokenMixer =
      if let attention, attention.layers.contains(layer) {
        AttentionMixer(attention.settings, at: place, &builder)
      } else {
        mixer(place, &builder)
      }
    let channelNorms = around("ffn_norm", &builder)
    let shift = TokenShift(slot: CarrySlot(layer: layer, .halo(1)))
    return Block(
      region: region, entry: entry, mixer: tokenMixer, norms: mixerNorms,
      channels: (channels(prefix + "ffn.", shift, &builder), channelNorms))
  }
}

/// An architecture in RWKV's skeleton.
protocol RWKVArchitecture: Architecture {
  var skeleton: RWKVSkeleton { get }
}

extension RWKVArchitecture {
  var dimension: Int { skeleton.dimension }
  var depth: Int { skeleton.depth }
  var vocabulary: Int { skeleton.vocabulary }
  var initialDeviation: Double { skeleton.initialDeviation }
  var normEpsilon: Float { skeleton.normEpsilon }
  var tiesEmbedding: Bool { skeleton.tiesEmbedding }
  /// 1.
  var embeddingScale: Float { 1 }
  var outerNames: (embedding: String, norm: String?, head: String) {
    ("model.embeddings.weight", "model.norm.weight", "lm_head.weight")
  }

  func outerNorm(_ builder: inout ModelBuilder) -> any Normalization {
    skeleton.norm("model.norm", &builder)
  }
}
