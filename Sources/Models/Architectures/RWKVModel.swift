import Configuration
import SequenceParallel
import Tensors

/// A version of RWKV: its mixer, and what its skeleton has beside those of other versions.
protocol RWKVFamily: FlashMixer {
  /// What a run file says of the skeleton.
  static func outer(_ section: ModelSection) -> RWKVOuterKeys
  /// What a `config.json` says of the skeleton.
  static func outer(_ keys: ModelKeys) -> RWKVOuterKeys
  /// The channel mixer of a layer.
  ///
  /// - Parameters:
  ///   - place: Where it stands; its tensors' names begin with the place's.
  ///   - width: Its inner width.
  func channels(
    at place: MixerPlace, width: Int, shift: TokenShift, _ builder: inout ModelBuilder
  ) -> ShiftedChannels
}

/// What a version of RWKV says of the model around its layers.
struct RWKVOuterKeys {
  /// Whether the embedding is normalised before block 0; whether the layer norms have biases.
  let isNormFirst, hasNormBias: Bool
  /// Whether the gradient of each position's largest logit gets a part of it; nil where the version knows of no such thing.
  let hasPenalty: Bool?

  init(isNormFirst: Bool, hasNormBias: Bool, hasPenalty: Bool?) {
    (self.isNormFirst, self.hasNormBias, self.hasPenalty) = (isNormFirst, hasNormBias, hasPenalty)
  }

  /// What a `config.json` says.
  init(_ keys: ModelKeys, hasPenalty: Bool?) {
    self.init(
      isNormFirst: keys.boolean("norm_first", default: true),
      hasNormBias: keys.boolean("norm_bias", default: true), hasPenalty: hasPenalty)
  }

  /// Its keys of `config.json`.
  var configuration: [String: JSONValue] {
    var keys: [String: JSONValue] = [
      "norm_first": .bool(isNormFirst), "norm_bias": .bool(hasNormBias),
    ]
    if let hasPenalty { keys["use_l2warp"] = .bool(hasPenalty) }
    return keys
  }
}

/// A model in RWKV's skeleton: layer norms, and a channel mixer that sees the token before; in a hybrid some layers are
/// softmax attention or of another family, with the channel mixer of the main one, or experts in its place.
///
/// Concretely: in block 0 `x = ln(x)` where norms come first; `x += mixer(ln(x))`, `x += channels(ln(x))`.
struct RWKVModel<Main: RWKVFamily>: SkeletonArchitecture {
  let skeleton: HybridSkeleton<Main>
  let hiddenRatio: Double
  /// Width of the channel mixer, or nil for what follows from `hiddenRatio`.
  let intermediate: Int?
  let outer: RWKVOuterKeys

  init(_ section: ModelSection, vocabulary: Int) {
    skeleton = HybridSkeleton(section, vocabulary: vocabulary, epsilon: 1e-5)
    hiddenRatio = Main.hiddenRatio
    intermediate = section.glu > 0 ? section.glu : nil
    outer = Main.outer(section)
  }

  init(_ keys: ModelKeys) throws(ModelError) {
    hiddenRatio = keys.ratio("hidden_ratio", default: Main.hiddenRatio)
    intermediate = keys.optionalPositive("intermediate_size")
    keys.require("hidden_act", "sqrelu")
    outer = Main.outer(keys)
    skeleton = try HybridSkeleton(keys, epsilon: 1e-5)
  }

  var configuration: [String: JSONValue] {
    skeleton.configuration(
      outer.configuration.merging([
        "hidden_ratio": .whole(hiddenRatio), "intermediate_size": .optional(intermediate),
        "hidden_act": "sqrelu",
      ]) { $1 })
  }

  var largestLogitPenalty: Double { outer.hasPenalty == true ? 1e-4 : 0 }

  static var takesExperts: Bool { true }

  var outerNames: (embedding: String, norm: String?, head: String) {
    ("model.embeddings.weight", "model.norm.weight", "lm_head.weight")
  }

  /// `32 · ⌈⌊D · ratio⌋ / 32⌉`, unless it is given.
  var channelWidth: Int {
    intermediate ?? (Int(Double(dimension) * hiddenRatio) + 31) / 32 * 32
  }

  private func norm(_ name: String, _ builder: inout ModelBuilder) -> LayerNorm {
    builder.layerNorm(name, columns: dimension, bias: outer.hasNormBias, epsilon: normEpsilon)
  }

  func outerNorm(_ builder: inout ModelBuilder) -> any Normalization {
    norm("model.norm", &builder)
  }

  func block(_ layer: Int, region: Int, _ builder: inout ModelBuilder) -> Block {
    let prefix = "model.layers.\(layer)."
    func around(_ name: String, _ builder: inout ModelBuilder) -> Block.Norms {
      skeleton.norms.around(norm(prefix + name, &builder), block: layer, depth: depth)
    }
    // Parameters lie in the order in which they are added.
    let entry = layer == 0 && outer.isNormFirst ? norm(prefix + "pre_norm", &builder) : nil
    let mixerNorms = around("attn_norm", &builder)
    let mixer = layers.mixer(at: skeleton.place(layer, prefix + "attn."), &builder)
    let channelNorms = around("ffn_norm", &builder)
    if let experts = skeleton.experts {
      // They read their token alone.
      return Block(
        region: region, entry: entry, mixer: mixer, norms: mixerNorms,
        channels: (
          builder.experts(
            prefix + "ffn.", experts, layer: layer, dimension: dimension, width: channelWidth),
          channelNorms
        ))
    }
    // Halos from 0 on are the mixer's.
    let shift = TokenShift(slot: CarrySlot(layer: layer, .halo(3)))
    let channels = skeleton.main.channels(
      at: skeleton.place(layer, prefix + "ffn."), width: channelWidth, shift: shift, &builder)
    return Block(
      region: region, entry: entry, mixer: mixer, norms: mixerNorms,
      channels: (channels, channelNorms))
  }
}
