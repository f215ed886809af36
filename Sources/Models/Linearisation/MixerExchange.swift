import Configuration

/// Any mixer of the families around one skeleton in place of a Transformer's attention: what both have is copied, the mixer's
/// own weights begin afresh.
///
/// - Source: XATL (arXiv 2404.02684).
struct MixerExchange {
  static let name = "xatl"

  let section: ModelSection
  /// Layers that stay attention.
  let kept: Set<Int>

  init(_ section: ModelSection, keeping kept: Set<Int>) {
    (self.section, self.kept) = (section, kept)
  }

  /// The model of the run file's mixer in the sizes of a Transformer.
  func callAsFunction(
    _ base: any LinearisableTransformer
  ) throws(LinearisationError) -> any Architecture {
    func impossible(_ reason: String) -> LinearisationError {
      .impossible(method: Self.name, reason: reason)
    }
    let mixer = section.mixer
    guard let family = Architectures.flashMixers.first(where: { $0.names.contains(mixer) }) else {
      let others = Architectures.flashMixers.flatMap { $0.names }.joined(separator: ", ")
      throw impossible("the mixer \(mixer) has another skeleton; choose one of \(others)")
    }
    guard !base.skeleton.hasChannelBias else {
      throw impossible("its channel mixers have biases, which \(mixer) has not")
    }
    let attention = base.attention(of: 0)
    if !kept.isEmpty, let what = attention.missing(inModelsOf: base.dimension) {
      throw impossible(
        "its attention has \(what), which \(mixer)'s skeleton has not; exchange all layers")
    }
    var section = section
    section.dimension = base.dimension
    section.depth = base.depth
    if section.changes["heads"] == nil { section.heads = attention.split(base.dimension).heads }
    section.glu = base.skeleton.channelWidth
    section.tieEmbeddings = base.tiesEmbedding
    section.initStd = base.initialDeviation
    section.layers =
      kept.isEmpty
      ? [] : (0..<base.depth).map { kept.contains($0) ? FlashLayers.attention : mixer }
    let type = Architectures.type(of: mixer)
    if let problem = type.problems(section).first { throw impossible(problem.message) }
    // The keys that run files do not have are changed as a folder would say them.
    var keys = type.init(section, vocabulary: base.vocabulary).configuration
    keys["norm_eps"] = .shortest(base.normEpsilon)
    if !kept.isEmpty {
      keys["attn"] =
        HybridAttention(layers: kept.sorted(), settings: attention).configuration
    }
    do throws(ModelError) {
      return try Architectures.read(.object(keys)).architecture
    } catch {
      throw impossible("\(family.name): \(error.description)")
    }
  }

  /// The Transformer's name of a tensor.
  static func source(of name: String) -> String {
    if name == "model.embeddings.weight" { return "model.embed_tokens.weight" }
    var parts = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    // model.layers.i.part…
    guard parts.count > 3, parts[1] == "layers" else { return name }
    let own = [
      "attn": "self_attn", "attn_norm": "input_layernorm", "mlp_norm": "post_attention_layernorm",
    ]
    parts[3] = own[parts[3]] ?? parts[3]
    return parts.joined(separator: ".")
  }
}

extension AttentionSettings {
  /// What it has that attention in flash-linear-attention's hybrids has not; nil for nothing.
  fileprivate func missing(inModelsOf dimension: Int) -> String? {
    if normEpsilon != nil { return "norms of queries and keys" }
    if hasOutputBias { return "a bias of the projection out" }
    if positions.scaling != nil { return "scaled positions" }
    if let headDimension, headDimension * heads != dimension {
      return "heads of \(headDimension) numbers"
    }
    return nil
  }
}
