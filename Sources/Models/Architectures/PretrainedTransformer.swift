import Configuration

/// A family of pretrained Transformers: in what it differs from the others in Llama's skeleton.
protocol PretrainedFamily: Sendable {
  /// Its own keys in the run file.
  associatedtype Keys: PretrainedKeys

  /// `model_type` in `config.json`, and its name in run files.
  static var name: String { get }
  /// `architectures` in `config.json`, without `ForCausalLM`.
  static var className: String { get }
  /// What people are told about it.
  static var card: ModelCard { get }
  /// Sizes where a `config.json` does not say them.
  static var defaults: LlamaSkeleton.Defaults { get }
  /// Numbers of a head where a `config.json` does not say them; nil for the width over the heads.
  static var headDimension: Int? { get }
  /// Which projections have biases.
  static var biases: AttentionBiases { get }
  /// Whether `mlp_bias` gives the channel mixer biases.
  static var readsChannelBias: Bool { get }
  /// Whether each head's queries and keys are normalised.
  static var normalizesKeys: Bool { get }
  /// Which layers have a window.
  static var windows: LayerWindows.Rule { get }
  /// How it has experts; nil for none.
  static var experts: ExpertLayout? { get }
}

extension PretrainedFamily {
  static var headDimension: Int? { nil }
  static var readsChannelBias: Bool { false }
  static var normalizesKeys: Bool { false }
  static var experts: ExpertLayout? { nil }
}

/// Which projections of attention have biases.
enum AttentionBiases {
  /// None.
  case none
  /// Those of queries, keys and values.
  case inputs
  /// Those of queries, keys and values, unless `qkv_bias` says otherwise.
  case named
  /// All four, where `attention_bias` says so.
  case asked

  /// Whether those of queries, keys and values are there whatever a run file says.
  var hasInputs: Bool { self == .inputs || self == .named }
}

/// The keys of a run file that only some families of pretrained Transformers have.
protocol PretrainedKeys: ConfigurationSection {
  /// Numbers of a head; nil for the width over the heads.
  var headDimension: Int? { get }
  /// The base of the rotary frequencies.
  var rotaryBase: Double { get }
  /// How the frequencies are scaled: one way, or none.
  var rotaryScaling: [RotaryScalingKeys] { get }
  /// Whether q, k, v and o have biases.
  var attentionBias: Bool { get }
  /// Whether the channel mixer has biases.
  var channelBias: Bool { get }
  /// The first block with a window.
  var firstInWindow: Int { get }
}

extension PretrainedKeys {
  /// The rotary positions, and what is wrong with them.
  fileprivate func rotary(length: Int) -> (keys: RotaryKeys, problems: [ModelError]) {
    RotaryKeys.reading(base: rotaryBase, scaling: rotaryScaling, length: length)
  }

  var attentionBias: Bool { false }
  var channelBias: Bool { false }
  var firstInWindow: Int { 0 }
}

/// A pretrained Transformer in the layout of Hugging Face's transformers: softmax attention in Llama's skeleton.
struct PretrainedTransformer<Family: PretrainedFamily>: LlamaArchitecture {
  static var mixers: [String] { [Family.name] }
  static var modelType: String { Family.name }
  static var card: ModelCard { Family.card }
  static var section: (any ConfigurationSection.Type)? { Family.Keys.self }
  static var borrowedSections: [any ConfigurationSection.Type] {
    Family.experts == nil ? [] : [ExpertsSection.self]
  }
  static var sharedKeys: Set<String> {
    Set(["kv_heads", "tie_embeddings"]).union(Family.windows == .none ? [] : ["window"])
  }
  /// Biases that such models have whatever is said.
  static var ignoredKeys: Set<String> { Family.biases.hasInputs ? ["attention_bias"] : [] }

  let skeleton: LlamaSkeleton
  /// What each layer's attention is, but for its window.
  let attention: AttentionSettings
  let windows: LayerWindows
  let rotary: RotaryKeys

  init(_ section: ModelSection, vocabulary: Int) {
    let keys = section.subsections[Family.Keys.self]
    var skeleton = LlamaSkeleton(
      section, vocabulary: vocabulary, hasChannelBias: keys.channelBias)
    skeleton.experts = Family.experts.map {
      ExpertLayers(
        $0, section.subsections[ExpertsSection.self], width: skeleton.channelWidth,
        depth: skeleton.depth)
    }
    self.skeleton = skeleton
    rotary = keys.rotary(length: skeleton.length).keys
    windows = LayerWindows(
      Family.windows, window: section.window, first: keys.firstInWindow, depth: section.depth)
    attention = Self.attention(
      heads: section.heads, keyValueHeads: section.keyValueHeads,
      headDimension: keys.headDimension, hasBias: Family.biases.hasInputs,
      asked: keys.attentionBias, skeleton, rotary)
  }

  init(_ keys: ModelKeys) throws(ModelError) {
    let usual = Family.defaults
    var skeleton = LlamaSkeleton(keys, default: usual, mayHaveBias: Family.readsChannelBias)
    skeleton.experts = Family.experts.map {
      ExpertLayers($0, keys, width: skeleton.channelWidth, depth: skeleton.depth)
    }
    self.skeleton = skeleton
    rotary = RotaryKeys(keys, length: skeleton.length, base: usual.rotaryBase)
    windows = LayerWindows(Family.windows, keys, depth: skeleton.depth)
    let headDimension =
      keys.isNull("head_dim") ? nil : keys.optionalPositive("head_dim") ?? Family.headDimension
    attention = Self.attention(
      heads: keys.positive("num_attention_heads", default: usual.heads),
      keyValueHeads: keys.isNull("num_key_value_heads")
        ? nil : keys.optionalPositive("num_key_value_heads") ?? usual.keyValueHeads,
      headDimension: headDimension,
      hasBias: Family.biases == .named
        ? keys.boolean("qkv_bias", default: true) : Family.biases == .inputs,
      asked: Family.biases == .asked && keys.boolean("attention_bias", default: false), skeleton,
      rotary)
    if let problem { throw .impossible(key: "num_attention_heads", reason: problem) }
    let frequencies = rotary.positions.frequencies(
      dimension: attention.split(dimension).keyDimension)
    guard frequencies.isFinite else {
      throw .impossible(
        key: rotary.scalingKey, reason: "its numbers give frequencies that are not finite")
    }
  }

  private static func attention(
    heads: Int, keyValueHeads: Int?, headDimension: Int?, hasBias: Bool, asked: Bool,
    _ skeleton: LlamaSkeleton, _ rotary: RotaryKeys
  ) -> AttentionSettings {
    AttentionSettings(
      heads: heads, keyValueHeads: keyValueHeads, headDimension: headDimension,
      hasBias: hasBias || asked, hasOutputBias: asked,
      normEpsilon: Family.normalizesKeys ? skeleton.normEpsilon : nil, positions: rotary.positions)
  }

  /// Why its heads cannot be; nil where they can.
  private var problem: String? {
    let split = attention.split(dimension)
    return split.widthProblem ?? split.rotationProblem
  }

  static func problems(_ section: ModelSection) -> [KeyProblem] {
    var found: [KeyProblem] = []
    if let problem = Self(section, vocabulary: 2).problem {
      found.append(KeyProblem("heads", "dimension", message: problem))
    }
    let keys = section.subsections[Family.Keys.self]
    found += RotaryKeys.problems(
      base: keys.rotaryBase, scaling: keys.rotaryScaling, section, in: Family.Keys.name)
    found += Family.experts?.problems(section, of: Family.name) ?? []
    if section.hasAttentionLayers {
      found.append(
        KeyProblem(
          "layers",
          message: "all layers of the mixer \(Family.name) are attention; remove the others"))
    }
    return found + section.unread(by: Family.name, reading: sharedKeys)
  }

  var configuration: [String: JSONValue] {
    let heads = attention.split(dimension)
    var own: [String: JSONValue] = [
      "architectures": [.string(Family.className + "ForCausalLM")],
      "model_type": .string(Family.name), "num_attention_heads": .integer(heads.heads),
      "num_key_value_heads": .integer(heads.keyHeads), "head_dim": .integer(heads.keyDimension),
    ]
    if Family.biases == .asked { own["attention_bias"] = .bool(attention.hasBias) }
    if Family.biases == .named { own["qkv_bias"] = .bool(attention.hasBias) }
    if Family.readsChannelBias { own["mlp_bias"] = .bool(skeleton.hasChannelBias) }
    for keys in [skeleton.configuration, rotary.configuration, windows.configuration] {
      own.merge(keys) { $1 }
    }
    return own
  }

  /// What a layer's attention is.
  func attention(of layer: Int) -> AttentionSettings {
    var settings = attention
    settings.window = windows.layers[layer]
    return settings
  }

  func block(_ layer: Int, region: Int, _ builder: inout ModelBuilder) -> Block {
    skeleton.block(layer, region: region, &builder) { place, builder in
      AttentionMixer(attention(of: layer), at: place, &builder)
    }
  }
}
