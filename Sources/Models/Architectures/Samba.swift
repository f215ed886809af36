import Configuration

/// Samba: selective scans and softmax attention in a window by turns, each with a channel mixer, whose width follows from
/// `hidden_ratio` alone, so that `model.glu` has nothing to say.
///
/// - Source: arXiv 2406.07522; flash-linear-attention's layout.
struct Samba: SkeletonArchitecture {
  typealias Main = SambaScan

  static let sharedKeys = SambaScan.keys.union(["kv_heads", "tie_embeddings", "window"])

  let skeleton: HybridSkeleton<SambaScan>
  let hiddenRatio: Double

  /// Tokens that attention sees where nothing else is said.
  private static let usualWindow = 2048

  /// The section with every other layer as attention where it names no layers, and with the usual window.
  private static func completed(_ section: ModelSection) -> ModelSection {
    var section = section
    if section.layers.isEmpty { section.layers = [SambaScan.name, FlashLayers.attention] }
    if section.window == nil, section.layers.contains(FlashLayers.attention) {
      section.window = usualWindow
    }
    return section
  }

  static func problems(_ section: ModelSection) -> [KeyProblem] {
    layerProblems(completed(section))
  }

  init(_ section: ModelSection, vocabulary: Int) {
    skeleton = HybridSkeleton(Self.completed(section), vocabulary: vocabulary, epsilon: 1e-5)
    hiddenRatio = section.subsections[SambaScan.Keys.self].hiddenRatio
  }

  init(_ keys: ModelKeys) throws(ModelError) {
    hiddenRatio = keys.ratio("hidden_ratio", default: 4)
    keys.choice("hidden_act", default: "silu", of: [("silu", ()), ("swish", ())])
    skeleton = try HybridSkeleton(
      keys, width: 2304, epsilon: 1e-5, usual: Self.usualAttention(depth:))
  }

  /// What a folder without `attn` means: every other of the first 18 layers, which are as many as Samba has.
  private static func usualAttention(depth: Int) -> HybridAttention? {
    let usual: JSONValue = [
      "num_heads": 18, "num_kv_heads": 18, "window_size": .integer(usualWindow),
    ]
    let layers = Array(stride(from: 1, to: min(depth, SambaScan.depth), by: 2))
    return layers.isEmpty
      ? nil
      : HybridAttention(
        layers: layers, settings: AttentionSettings(ModelKeys(usual), isHybrid: true))
  }

  var configuration: [String: JSONValue] {
    // The absence of `attn` would mean the usual layers.
    skeleton.configuration([
      "hidden_ratio": .whole(hiddenRatio), "hidden_act": "silu", "attn": .null,
    ])
  }

  var outerNames: (embedding: String, norm: String?, head: String) {
    ("backbone.embeddings.weight", "backbone.norm_f.weight", "lm_head.weight")
  }

  /// `256 · ⌈⌊D · ratio · 2/3⌋ / 256⌉`.
  private var channelWidth: Int {
    (Int(Double(dimension) * hiddenRatio * 2 / 3) + 255) / 256 * 256
  }

  static var takesExperts: Bool { true }

  func block(_ layer: Int, region: Int, _ builder: inout ModelBuilder) -> Block {
    let prefix = "backbone.layers.\(layer)."
    let mixerNorms = skeleton.norms(prefix + "mixer_norm", layer: layer, &builder)
    let mixer = layers.mixer(at: skeleton.place(layer, prefix + "mixer."), &builder)
    let channelNorms = skeleton.norms(prefix + "mlp_norm", layer: layer, &builder)
    let channels = skeleton.channels(prefix + "mlp.", layer: layer, width: channelWidth, &builder)
    return Block(
      region: region, mixer: mixer, norms: mixerNorms, channels: (channels, channelNorms))
  }
}
