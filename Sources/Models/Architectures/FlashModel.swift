import Configuration

/// A model of flash-linear-attention: the skeleton that its families share around one mixer; in a hybrid some layers
/// are softmax attention or of another family.
///
/// Concretely: `x += mixer(rms(x))`, `x += W_down(silu(y W_gate) ⊙ y W_up)` with `y = rms(x)`.
struct FlashModel<Main: FlashMixer>: SkeletonArchitecture, FlashArchitecture {
  let skeleton: HybridSkeleton<Main>
  let hiddenRatio: Double
  /// Width of the channel mixer, or nil for what follows from `hiddenRatio`.
  let intermediate: Int?

  init(_ section: ModelSection, vocabulary: Int) {
    skeleton = HybridSkeleton(section, vocabulary: vocabulary, epsilon: 1e-6)
    hiddenRatio = Main.hiddenRatio
    intermediate = section.glu > 0 ? section.glu : nil
  }

  init(_ keys: ModelKeys) throws(ModelError) {
    hiddenRatio = keys.ratio("hidden_ratio", default: Main.hiddenRatio)
    intermediate = keys.optionalPositive("intermediate_size")
    keys.choice("hidden_act", default: "swish", of: [("swish", ()), ("silu", ())])
    skeleton = try HybridSkeleton(keys, epsilon: 1e-6)
  }

  var configuration: [String: JSONValue] {
    skeleton.configuration([
      "hidden_ratio": .whole(hiddenRatio), "intermediate_size": .optional(intermediate),
      "hidden_act": "swish",
    ])
  }

  var outerNames: (embedding: String, norm: String?, head: String) {
    ("model.embeddings.weight", "model.norm.weight", "lm_head.weight")
  }

  /// `256 · ⌈⌊D · ratio · 2/3⌋ / 256⌉`, unless it is given.
  var channelWidth: Int {
    intermediate ?? (Int(Double(dimension) * hiddenRatio * 2 / 3) + 255) / 256 * 256
  }

  func block(_ layer: Int, region: Int, _ builder: inout ModelBuilder) -> Block {
    let prefix = "model.layers.\(layer)."
    // Parameters lie in the order in which they are added.
    let mixerNorms = skeleton.norms(prefix + "attn_norm", layer: layer, &builder)
    let mixer = layers.mixer(at: skeleton.place(layer, prefix + "attn."), &builder)
    let channelNorms = skeleton.norms(prefix + "mlp_norm", layer: layer, &builder)
    let channels = skeleton.channels(prefix + "mlp.", layer: layer, width: channelWidth, &builder)
    return Block(
      region: region, mixer: mixer, norms: mixerNorms, channels: (channels, channelNorms))
  }
}

/// An architecture in flash-linear-attention's skeleton, whatever its family.
protocol FlashArchitecture: HybridArchitecture {}

extension FlashArchitecture {
  static var takesExperts: Bool { !Main.hasRouters }
}

extension Architectures {
  /// The families of flash-linear-attention's skeleton.
  static var flashMixers: [any FlashMixer.Type] {
    all.compactMap { ($0 as? any FlashArchitecture.Type)?.family }
  }
}
