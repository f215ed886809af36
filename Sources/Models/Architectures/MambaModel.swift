import Configuration

/// A model in Mamba's skeleton: blocks of one mixer each, without channel mixers, so that `model.glu` has nothing to say, or
/// with experts, of twice the model's width where nothing else is said; in a hybrid some layers are softmax attention or of
/// another family.
///
/// Concretely: `x += mixer(rms(x))`, and with experts `x += experts(rms(x))`, named as Samba's channel mixers are.
///
/// - Source: arXiv 2312.00752, section 3.4; flash-linear-attention's layout.
struct MambaModel<Main: FlashMixer>: SkeletonArchitecture {
  let skeleton: HybridSkeleton<Main>

  init(_ section: ModelSection, vocabulary: Int) {
    skeleton = HybridSkeleton(section, vocabulary: vocabulary, epsilon: 1e-5)
  }

  init(_ keys: ModelKeys) throws(ModelError) {
    keys.choice("hidden_act", default: "silu", of: [("silu", ()), ("swish", ())])
    skeleton = try HybridSkeleton(keys, epsilon: 1e-5)
  }

  var configuration: [String: JSONValue] { skeleton.configuration(["hidden_act": "silu"]) }

  static var takesExperts: Bool { true }

  var outerNames: (embedding: String, norm: String?, head: String) {
    ("backbone.embeddings.weight", "backbone.norm_f.weight", "lm_head.weight")
  }

  func block(_ layer: Int, region: Int, _ builder: inout ModelBuilder) -> Block {
    let prefix = "backbone.layers.\(layer)."
    let norms = skeleton.norms(prefix + "norm", layer: layer, &builder)
    let mixer = layers.mixer(at: skeleton.place(layer, prefix + "mixer."), &builder)
    guard let experts = skeleton.experts else {
      return Block(region: region, mixer: mixer, norms: norms)
    }
    let channelNorms = skeleton.norms(prefix + "mlp_norm", layer: layer, &builder)
    return Block(
      region: region, mixer: mixer, norms: norms,
      channels: (
        builder.experts(
          prefix + "mlp.", experts, layer: layer, dimension: dimension, width: 2 * dimension),
        channelNorms
      ))
  }
}
