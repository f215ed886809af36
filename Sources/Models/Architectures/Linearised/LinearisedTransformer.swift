import Configuration

/// A pretrained Transformer in which something else stands in for the softmax of its attention, in all layers or in all but
/// some.
///
/// Its folders are those of the Transformer: its tensors by their names, its keys of `config.json` beside the method's.
/// Layers that stay attention are named by `attn.layers`.
struct LinearisedTransformer<Method: LinearisedMethod>: LlamaArchitecture {
  static var mixers: [String] { [Method.name] }
  static var modelType: String { modelTypes[0] }
  static var modelTypes: [String] { PretrainedBase.allCases.map { Method.modelType(of: $0) } }
  static var card: ModelCard { Method.card }
  static var section: (any ConfigurationSection.Type)? { Method.Keys.self }
  static var borrowedSections: [any ConfigurationSection.Type] {
    PretrainedBase.allCases.compactMap { $0.type.section }
  }
  static var sharedKeys: Set<String> {
    PretrainedBase.allCases.reduce(into: []) { $0.formUnion($1.type.sharedKeys) }
  }
  /// Those that no Transformer of any family looks at, either.
  static var ignoredKeys: Set<String> {
    PretrainedBase.allCases.reduce(into: []) { $0.formUnion($1.type.ignoredKeys) }
  }

  let family: PretrainedBase
  /// The Transformer that it is made of.
  let base: any LinearisableTransformer
  let method: Method
  /// The layers that stay softmax attention.
  let attentionLayers: Set<Int>

  init(
    family: PretrainedBase, base: any LinearisableTransformer, method: Method,
    attentionLayers: Set<Int>
  ) {
    (self.family, self.base, self.method) = (family, base, method)
    self.attentionLayers = attentionLayers
  }

  init(_ section: ModelSection, vocabulary: Int) {
    let keys = section.subsections[Method.Keys.self]
    family = keys.base
    base = keys.base.type.init(section, vocabulary: vocabulary)
    method = Method(keys, heads: base.attention(of: 0).split(base.dimension))
    attentionLayers = Set(
      section.mixerOfLayer.indices.filter { section.mixerOfLayer[$0] != Method.name })
  }

  init(_ keys: ModelKeys) throws(ModelError) {
    let name = keys.string("model_type", default: Self.modelType)
    family = PretrainedBase.allCases.first { Method.modelType(of: $0) == name } ?? .llama
    base = try family.type.init(keys)
    let heads = base.attention(of: 0).split(base.dimension)
    method = Method(keys, heads: heads)
    let attn = keys.object("attn")
    let layers = attn?.requiredIntegers("layers") ?? []
    let depth = base.depth
    if let beyond = layers.first(where: { !(0..<depth).contains($0) }) {
      attn?.refuse("layers", "there is no layer \(beyond) in a model of \(depth)")
    }
    attentionLayers = Set(layers)
    if let problem = method.problem(heads) {
      throw .impossible(key: problem.key, reason: problem.reason)
    }
  }

  static func problems(_ section: ModelSection) -> [KeyProblem] {
    let keys = section.subsections[Method.Keys.self]
    let type = keys.base.type
    // As the Transformer alone would find it.
    var alone = section
    (alone.mixer, alone.layers) = (type.mixers[0], [])
    let found = type.problems(alone)
    if !found.isEmpty { return found }
    let model = Self(section, vocabulary: 2)
    if let layer = section.mixerOfLayer.firstIndex(of: FlashLayers.fullAttention),
      let window = model.base.attention(of: layer).window
    {
      return [
        KeyProblem(
          "layers", "window",
          message: "layers that stay attention have the Transformer's window, of \(window) tokens; "
            + "name \(FlashLayers.attention), or remove the window")
      ]
    }
    if let problem = model.method.problem(model.base.attention(of: 0).split(section.dimension)) {
      return [KeyProblem("heads", "dimension", message: problem.reason)]
    }
    return []
  }

  var skeleton: LlamaSkeleton { base.skeleton }

  var configuration: [String: JSONValue] {
    var own: [String: JSONValue] = [
      "architectures": [.string(Method.className(of: family) + "ForCausalLM")],
      "model_type": .string(Method.modelType(of: family)),
    ]
    if !attentionLayers.isEmpty {
      own["attn"] = ["layers": .array(attentionLayers.sorted().map { .integer($0) })]
    }
    return base.configuration.merging(method.configuration) { $1 }.merging(own) { $1 }
  }

  func block(_ layer: Int, region: Int, _ builder: inout ModelBuilder) -> Block {
    skeleton.block(layer, region: region, &builder) { place, builder in
      let settings = base.attention(of: layer)
      if attentionLayers.contains(layer) { return AttentionMixer(settings, at: place, &builder) }
      return LinearisedLayer(settings, at: place, &builder) { heads, builder in
        method.substitute(settings, heads: heads, at: place, &builder)
      }
    }
  }
}
