import Configuration

/// The run file's `model` section: the shape of the language model, and how its weights begin.
package struct ModelSection: OuterSection, Equatable {
  package static let name = "model"
  package static let documentation = "The language model: its shape, and how its weights begin."

  /// The mixers that a model can be made of.
  package static let mixers = Architectures.all.flatMap { $0.mixers }

  /// What `layers` calls softmax attention beside another mixer.
  static let attention = [FlashLayers.attention, FlashLayers.fullAttention]

  /// The sections of families with keys of their own.
  package static let subsectionTypes =
    Architectures.all.compactMap { $0.section } + [ExpertsSection.self]

  /// The families' own keys.
  package var subsections = Subsections()

  @Key("mixer", .model, of: mixers, "Token mixer of every block that layers does not name.")
  package var mixer = "tnl"

  @Key("dimension", .model, from: 1, "Width of the residual stream.")
  package var dimension = 64

  @Key("depth", .model, from: 1, "Number of blocks.")
  package var depth = 3

  @Key("heads", .model, from: 1, "Number of heads of a mixer.")
  package var heads = 4

  @Key("kv_heads", .model, from: 1, "Key and value heads where queries share them.")
  package var keyValueHeads: Int?

  @Key(
    "expand_k", .model, above: 0, through: 1024,
    "Width of all keys over dimension; null = the mixer's own.")
  package var expandKey: Double?

  @Key(
    "expand_v", .model, above: 0, through: 1024,
    "Width of all values over dimension (gated_deltanet, mom: over keys).")
  package var expandValue: Double?

  @Key("window", .model, from: 1, unit: "tokens", "Tokens that attention sees; null = all before.")
  package var window: Int?

  @Key("glu", .model, "Inner width of the channel mixer; 0 = the mixer's own rule.")
  package var glu = 0

  @Key("channels", .model, "What stands along channels: one gated mixer, or experts.")
  package var channels = ChannelKind.glu

  @Key("vocabulary", .model, unit: "tokens", "Tokens the model knows; 0 = what the data needs.")
  package var vocabulary = 0

  @Key(
    "layers", .model, of: mixers + attention,
    "Mixers of the blocks, bottom up, repeated; empty = all are mixer. full_attention has no window."
  )
  package var layers: [String] = []

  @Key("bias", .model, "Whether linear layers have biases.")
  package var bias = false

  @Key(
    "norm", .model,
    "Where norms stand: before each layer, after it, or after in the first blocks (Mix-LN)."
  )
  package var norm = NormPlacement.Kind.pre

  @Key(
    "norm_share", .model, from: 0, through: 1,
    "Share of blocks, from the first, where mix has norms after."
  )
  package var normShare = NormPlacement.usualShare

  @Key(
    "init_std", .model, above: 0,
    "Standard deviation of the initial weights; null = 0.1, xlstm: the root of 2 / (5 dimension).")
  package var ownInitStd: Double?

  @Key("tie_embeddings", .model, "Whether the head uses the embedding's weights.")
  package var tieEmbeddings = false

  @Key("from", .model, "Model folder to start from: its shape and weights replace these keys.")
  package var from: String?

  @Key("adapter", .model, "Folder of an adapter of the model of from, which is trained on.")
  package var adapter: String?

  /// Tokens of a sequence, for what depends on them by default.
  package var sequenceLength = 512

  package init() {}

  /// Standard deviation of the initial weights of families that have no rule of their own.
  package var initStd: Double {
    get { ownInitStd ?? 0.1 }
    set { ownInitStd = newValue }
  }

  /// The mixer of every block, bottom up.
  package var mixerOfLayer: [String] {
    let pattern = layers.isEmpty ? [mixer] : layers
    return (0..<depth).map { pattern[$0 % pattern.count] }
  }

  /// The mixer that decides what family the model is of: the first that is no attention.
  ///
  /// Where all layers are softmax attention, that is the Transformer's.
  var mainMixer: String {
    mixerOfLayer.first { !Self.attention.contains($0) } ?? Transformer.name
  }

  /// The mixers of the blocks, each once, the main one first; without softmax attention beside them.
  private var ownMixers: [String] {
    [mainMixer]
      + Set(mixerOfLayer).filter { $0 != mainMixer && !Self.attention.contains($0) }.sorted()
  }

  /// The families among them that can stand beside others.
  var families: [any FlashMixer.Type] {
    ownMixers.compactMap { mixer in
      Architectures.families.first { $0.names.contains(mixer) }
    }
  }

  /// Whether some blocks are softmax attention beside the main mixer.
  var hasAttentionLayers: Bool {
    mainMixer != Transformer.name && mixerOfLayer.contains { Self.attention.contains($0) }
  }

  /// Layers that do not fit the depth or each other; what the family's sizes and keys make impossible.
  package var problems: [KeyProblem] {
    if adapter != nil, from == nil {
      return [
        KeyProblem("adapter", message: "there is no model that it belongs to; give model.from")
      ]
    }
    if !layers.isEmpty, depth % layers.count != 0 {
      return [
        KeyProblem(
          "layers", "depth",
          message: "a pattern of \(layers.count) blocks does not divide a depth of \(depth); "
            + "name every block, or a pattern that repeats")
      ]
    }
    if ownMixers.count > 1,
      let alone = ownMixers.first(where: { mixer in
        !Architectures.families.contains { $0.names.contains(mixer) }
      })
    {
      let others = Architectures.families.flatMap { $0.names }.joined(separator: ", ")
      return [
        KeyProblem(
          "layers",
          message:
            "\(alone) cannot stand in one model with \(ownMixers.first { $0 != alone } ?? ""); "
            + "those that can are \(others)")
      ]
    }
    return Architectures.type(of: mainMixer).problems(self) + expertProblems + foreign
  }

  /// Experts that have no place, or of which a token takes more than there are.
  private var expertProblems: [KeyProblem] {
    let type = Architectures.type(of: mainMixer)
    let hasOwn = type.borrowedSections.contains { $0.name == ExpertsSection.name }
    // A folder says itself what its experts are.
    guard from == nil || channels == .experts else { return capacityProblems }
    guard channels == .experts || hasOwn else { return [] }
    // Where layers have routers of their own, the architecture says so.
    guard !families.contains(where: { $0.hasRouters }) else { return [] }
    guard type.takesExperts || hasOwn else {
      let able = Architectures.all.filter { $0.takesExperts }.flatMap { $0.mixers }
      return [
        KeyProblem(
          "channels",
          message:
            "experts cannot stand in the blocks of \(mainMixer); they can in those of "
            + able.joined(separator: ", "))
      ]
    }
    let keys = subsections[ExpertsSection.self]
    guard capacityProblems.isEmpty else { return capacityProblems }
    return keys.active <= keys.count
      ? []
      : [
        KeyProblem(
          "model.experts.active", "model.experts.count",
          message:
            "a token cannot take \(keys.active) of \(keys.count) experts; choose at most \(keys.count)"
        )
      ]
  }

  private var capacityProblems: [KeyProblem] {
    let capacity = subsections[ExpertsSection.self].capacity
    guard capacity != 0, capacity < 1 else { return [] }
    return [
      KeyProblem(
        "model.experts.capacity",
        message:
          "a capacity of \(capacity) times the mean drops tokens however equally experts are chosen; "
          + "give 1 or more, or 0 for none")
    ]
  }

  /// A problem for each key of another family that was given.
  private var foreign: [KeyProblem] {
    // Whether a folder has experts, whoever opens it knows.
    let others = otherFamilies.subtracting(from == nil ? [] : [ExpertsSection.name])
    return subsections.changes.filter { others.contains($0.key) }.sorted { $0.key < $1.key }
      .flatMap { section, keys in
        keys.keys.sorted().map {
          KeyProblem(
            "\(section).\($0)",
            message: section == ExpertsSection.name
              ? "there are no experts; give model.channels=experts, or remove it"
              : "the mixer \(mainMixer) does not have it; remove it")
        }
      }
  }

  /// Names of the sections of other families than the model's.
  package var otherFamilies: Set<String> {
    let own = ownMixers.flatMap { mixer in
      let type = Architectures.type(of: mixer)
      return ([type.section].compactMap { $0 } + type.borrowedSections).map { $0.name }
    }
    let experts = channels == .experts ? [ExpertsSection.name] : []
    return Set(Self.subsectionTypes.map { $0.name }).subtracting(own + experts)
  }

  /// A problem for each key of a family that is about the model around its layers, where that is another family's.
  ///
  /// - Parameters:
  ///   - keys: Their names in the family's section.
  ///   - changes: What of the section was given.
  func outside(
    _ keys: [String], of family: String, _ changes: [String: Value]
  ) -> [KeyProblem] {
    guard mainMixer != family else { return [] }
    return keys.filter { changes[$0] != nil }.map {
      KeyProblem(
        "model.\(family).\($0)",
        message: "it is about what stands around the layers, which is \(mainMixer)'s; remove it")
    }
  }

  /// Keys that several families have, and others have not.
  package static let shared: Set = [
    "kv_heads", "expand_k", "expand_v", "window", "bias", "tie_embeddings",
  ]

  /// A problem for each shared key that was given although a family does not have it.
  func unread(by family: String, reading read: Set<String>) -> [KeyProblem] {
    changes.keys.filter { Self.shared.contains($0) && !read.contains($0) }.sorted().map {
      let reason =
        $0 == "window"
        ? "the mixer \(family) sees all tokens before, through a state; only attention has a window"
        : "the mixer \(family) does not have it"
      return KeyProblem($0, message: reason + "; remove it")
    }
  }
}
