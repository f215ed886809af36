import Configuration

/// Which mixer each layer of a hybrid has, whatever skeleton they stand in.
///
/// Concretely: a main family, which gives the model its name, and beside it softmax attention and any other families
/// whose layers can stand anywhere. A `config.json` says attention layers in `attn`, as the other project does; what `attn` cannot
/// say, it says in `layer_types`, a name for each layer, and `mixers`, the keys of the families that are not the
/// model's own.
struct FlashLayers {
  /// The words of a list of layers for softmax attention: in the model's window, and over all tokens whatever that is.
  static let (attention, fullAttention) = ("attention", "full_attention")

  /// Of each layer, bottom up: a family's name, or one of the words above.
  let kinds: [String]
  /// The main family.
  let main: any FlashMixer
  /// The other families, by name.
  let others: [String: any FlashMixer]
  /// What attention layers are like; nil where there are none beside the main family.
  let settings: AttentionSettings?

  /// What a run file's `mixer` and `layers` name.
  init(_ section: ModelSection, main: any FlashMixer) {
    let isAttention = main is Transformer
    // Without a window, all attention is full; the Transformer's own layers are attention.
    kinds = section.mixerOfLayer.map { kind in
      let kind = kind == Self.fullAttention && section.window == nil ? Self.attention : kind
      if kind == Self.attention { return isAttention ? Transformer.name : kind }
      return Architectures.families.first { $0.names.contains(kind) }?.name ?? kind
    }
    self.main = main
    let name = type(of: main).name
    others = Dictionary(
      section.families.filter { $0.name != name }.map { ($0.name, $0.init(section)) }
    ) { $1 }
    let hasAttention = kinds.contains { $0 == Self.attention || $0 == Self.fullAttention }
    settings = hasAttention ? AttentionSettings(section) : nil
  }

  /// What the `attn`, `layer_types` and `mixers` of a `config.json` say.
  ///
  /// - Parameter usual: What is meant where there is no `attn`.
  init(
    _ keys: ModelKeys, main: any FlashMixer, depth: Int, dimension: Int,
    usual: HybridAttention? = nil
  ) {
    self.main = main
    let name = type(of: main).name
    let attn = HybridAttention(keys, depth: depth) ?? (keys.isNull("attn") ? nil : usual)
    settings = attn?.settings
    var kinds = [String](repeating: name, count: depth)
    for layer in attn?.layers ?? [] { kinds[layer] = Self.attention }
    guard let types = keys.strings("layer_types") else {
      (self.kinds, others) = (kinds, [:])
      return
    }
    let words = [Self.attention, Self.fullAttention]
    let families = Architectures.families
    if types.count != depth {
      keys.refuse("layer_types", "it names \(types.count) layers of \(depth); name every layer")
    }
    for type in Set(types).sorted()
    where !words.contains(type) && !families.contains(where: { $0.name == type }) {
      keys.refuse(
        "layer_types",
        "\"\(type)\" is not computed here, only "
          + (words + families.map { $0.name }).joined(separator: ", "))
    }
    if attn == nil, types.contains(where: words.contains), !(main is Transformer) {
      keys.refuse("layer_types", "it has attention layers, and there is no attn that says how")
    }
    for index in kinds.indices where index < types.count { kinds[index] = types[index] }
    self.kinds = kinds
    let named = families.filter { $0.name != name && types.contains($0.name) }
    let mixers = keys.object("mixers")
    others = Dictionary(
      named.map {
        ($0.name, $0.init(mixers?.object($0.name) ?? ModelKeys([:]), dimension: dimension))
      }
    ) { $1 }
  }

  /// The keys of `config.json` that say all this.
  var configuration: [String: JSONValue] {
    var keys: [String: JSONValue] = [:]
    if let settings {
      let layers = kinds.indices.filter {
        kinds[$0] == Self.attention || kinds[$0] == Self.fullAttention
      }
      keys["attn"] = HybridAttention(layers: layers, settings: settings).configuration
    }
    if !others.isEmpty || kinds.contains(Self.fullAttention) {
      keys["layer_types"] = .array(kinds.map { .string($0) })
      if !others.isEmpty {
        keys["mixers"] = .object(others.mapValues { .object($0.configuration) })
      }
    }
    return keys
  }

  /// Why the sizes of some layers cannot be, with the key of `config.json` that says them; nil where they can.
  func problem(dimension: Int) -> (key: String, reason: String)? {
    if let reason = main.problem { return ("num_heads", reason) }
    for (name, family) in others.sorted(by: { $0.key < $1.key }) {
      if let reason = family.problem { return ("mixers.\(name).num_heads", reason) }
    }
    return settings?.split(dimension).problem.map { ("attn.num_heads", $0) }
  }

  /// The families, the main one first.
  var families: [any FlashMixer] { [main] + others.sorted(by: { $0.key < $1.key }).map(\.value) }

  /// The experts that a `config.json` has beside these layers; nil for none.
  func experts(_ keys: ModelKeys) -> ExpertSettings? {
    let experts = ExpertSettings(keys)
    if experts != nil, let routed = families.first(where: { type(of: $0).hasRouters }) {
      keys.refuse("num_experts", Self.severalRouters(beside: type(of: routed).name))
    }
    return experts
  }

  /// Why experts cannot be where a family has a router of its own.
  static func severalRouters(beside family: String) -> String {
    "the layers of \(family) choose by routers of their own, and how tokens fall on experts and on them is not told apart; "
      + "leave the experts, or those layers"
  }

  /// Adds the weights that layers of one family share.
  func addShared(_ builder: inout ModelBuilder) {
    for family in families {
      family.addShared(layers: kinds.count, &builder)
    }
  }

  /// The mixer of a layer.
  func mixer(at place: MixerPlace, _ builder: inout ModelBuilder) -> any TokenMixer {
    let kind = kinds[place.layer]
    if kind == Self.attention || kind == Self.fullAttention {
      guard var settings = settings ?? (main as? Transformer)?.settings else {
        preconditionFailure("layer \(place.layer) is attention, and nothing says how")
      }
      if kind == Self.fullAttention { settings.window = nil }
      return AttentionMixer(settings, at: place, &builder)
    }
    return (others[kind] ?? main).layer(at: place, &builder)
  }
}
