import Configuration

/// A hybrid of another maker in the layout of Hugging Face's transformers: Llama's skeleton, with softmax attention in some
/// layers and a recurrence in the others.
protocol PretrainedHybrid: LlamaArchitecture {
  /// `model_type` in `config.json`, and its name in run files.
  static var name: String { get }
  /// `architectures` in `config.json`, without `ForCausalLM`.
  static var className: String { get }

  /// Which layers are attention.
  var types: LayerTypes { get }
  /// Its keys of `config.json` beside those of the skeleton and of the layers' types.
  var ownConfiguration: [String: JSONValue] { get }
  /// Before the names of a mixer's tensors, behind those of the layer.
  func mixerName(_ layer: Int) -> String
  /// How a layer's token and channel mixer join the residual stream.
  func residuals(_ layer: Int) -> (mixer: LlamaSkeleton.Residual, channels: LlamaSkeleton.Residual)
  /// Builds a layer that is attention.
  func attention(at place: MixerPlace, _ builder: inout ModelBuilder) -> any TokenMixer
  /// Builds a layer that is none.
  func recurrence(at place: MixerPlace, _ builder: inout ModelBuilder) -> any TokenMixer
}

extension PretrainedHybrid {
  static var mixers: [String] { [name] }
  static var modelType: String { name }

  func mixerName(_ layer: Int) -> String { "self_attn." }

  func residuals(
    _ layer: Int
  ) -> (mixer: LlamaSkeleton.Residual, channels: LlamaSkeleton.Residual) { (.plain, .plain) }

  var configuration: [String: JSONValue] {
    let common: [String: JSONValue] = [
      "architectures": [.string(Self.className + "ForCausalLM")], "model_type": .string(Self.name),
    ]
    return [skeleton.configuration, types.configuration, ownConfiguration]
      .reduce(into: common) { $0.merge($1) { $1 } }
  }

  func block(_ layer: Int, region: Int, _ builder: inout ModelBuilder) -> Block {
    skeleton.block(
      layer, region: region, &builder, name: mixerName(layer), residuals: residuals(layer)
    ) { place, builder in
      types.isAttention[layer]
        ? attention(at: place, &builder) : recurrence(at: place, &builder)
    }
  }

  /// What a run file has wrong that any of them would refuse: keys that it does not have, and where its attention has one
  /// window or none, layers that are to have another.
  static func commonProblems(_ section: ModelSection) -> [KeyProblem] {
    let unwindowed = FlashLayers.fullAttention
    let window =
      section.window != nil && section.layers.contains(unwindowed)
      ? [
        KeyProblem(
          "layers",
          message:
            "all attention layers of \(name) have the window; write \(FlashLayers.attention), or "
            + "remove model.window")
      ] : []
    return window + section.unread(by: name, reading: sharedKeys)
  }

  /// A problem where norms are placed otherwise than before layers.
  static func placementProblem(_ section: ModelSection) -> [KeyProblem] {
    section.norm == .pre
      ? [] : [KeyProblem("norm", message: "the mixer \(name) has norms before its layers; use pre")]
  }
}

extension LlamaSkeleton {
  /// Refuses norms that are placed otherwise than before layers.
  func requirePlacement(_ keys: ModelKeys) {
    if norms.kind != .pre {
      keys.refuse("norm_placement", "such models have norms before their layers only; remove it")
    }
  }
}

extension AttentionSettings {
  /// What the keys of Hugging Face's layouts say of a Transformer's attention layers.
  init(
    _ keys: ModelKeys, default usual: LlamaSkeleton.Defaults,
    headDimension: Int? = nil, hasBias: Bool = false, hasOutputBias: Bool = false,
    normEpsilon: Float? = nil, positions: RotaryPositions
  ) {
    self.init(
      heads: keys.positive("num_attention_heads", default: usual.heads),
      keyValueHeads: keys.isNull("num_key_value_heads")
        ? nil : keys.optionalPositive("num_key_value_heads") ?? usual.keyValueHeads,
      headDimension: keys.isNull("head_dim")
        ? nil : keys.optionalPositive("head_dim") ?? headDimension,
      hasBias: hasBias, hasOutputBias: hasOutputBias, normEpsilon: normEpsilon,
      positions: positions)
  }

  /// The keys of its heads.
  func pretrainedConfiguration(dimension: Int) -> [String: JSONValue] {
    let heads = split(dimension)
    return [
      "num_attention_heads": .integer(heads.heads),
      "num_key_value_heads": .integer(heads.keyHeads), "head_dim": .integer(heads.keyDimension),
    ]
  }

  /// Why its heads, or the numbers of them that turn, cannot be; nil where they can.
  func problem(dimension: Int) -> String? {
    let split = split(dimension)
    return split.widthProblem ?? rotationProblem(of: split.keyDimension)
  }

  /// - Parameter rotatedBy: The key that says how many numbers of a head turn.
  /// - Throws: Heads that do not fit the width, numbers that cannot turn, frequencies that are no numbers.
  func check(
    dimension: Int, _ rotary: RotaryKeys, rotatedBy key: String = "head_dim"
  ) throws(ModelError) {
    let split = split(dimension)
    if let problem = split.widthProblem {
      throw .impossible(key: "num_attention_heads", reason: problem)
    }
    if let problem = rotationProblem(of: split.keyDimension) {
      throw .impossible(key: key, reason: problem)
    }
    let frequencies = positions.frequencies(
      dimension: rotated ?? split.keyDimension)
    guard frequencies.isFinite else {
      throw .impossible(
        key: rotary.scalingKey, reason: "its numbers give frequencies that are not finite")
    }
  }
}
