import Configuration

/// An architecture whose layers may be of several families: a main one, which gives the model its skeleton and its name,
/// and beside it softmax attention and others.
protocol HybridArchitecture: Architecture {
  /// The family that gives it its name.
  associatedtype Main: FlashMixer
  /// What each layer's mixer is.
  var layers: FlashLayers { get }
}

extension HybridArchitecture {
  static var family: any FlashMixer.Type { Main.self }
  static var mixers: [String] { Main.names }
  static var modelType: String { Main.name }
  static var card: ModelCard { Main.card }
  static var sharedKeys: Set<String> { Main.keys.union(["tie_embeddings"]) }
  static var ignoredKeys: Set<String> { Main.ignoredKeys }
  static var section: (any ConfigurationSection.Type)? { Main.section }

  static func problems(_ section: ModelSection) -> [KeyProblem] { layerProblems(section) }

  /// What a run file has wrong in any of its layers: sizes, and keys that no family among them has.
  static func layerProblems(_ section: ModelSection) -> [KeyProblem] {
    let layers = FlashLayers(section, main: Main(section))
    let read = section.families.reduce(into: sharedKeys) { $0.formUnion($1.keys) }
    let attention = layers.settings?.split(section.dimension).problem
    let sizes =
      section.families.flatMap { $0.problems(section) }
      + (attention.map { [KeyProblem("heads", "dimension", message: $0)] } ?? [])
    let routed = section.channels == .experts ? section.families.first { $0.hasRouters } : nil
    let routers =
      routed.map {
        [KeyProblem("channels", "mixer", message: FlashLayers.severalRouters(beside: $0.name))]
      } ?? []
    // What several families say in the same words is said once.
    return sizes.indices.filter { !sizes[..<$0].contains(sizes[$0]) }.map { sizes[$0] }
      + routers
      + section.unread(
        by: Main.name, reading: read.union(layers.settings == nil ? [] : ["kv_heads", "window"]))
  }

  /// 1.
  var embeddingScale: Float { 1 }

  func addShared(_ builder: inout ModelBuilder) { layers.addShared(&builder) }
}

extension Architectures {
  /// The families whose layers can stand in one model.
  static var families: [any FlashMixer.Type] {
    all.compactMap { ($0 as? any HybridArchitecture.Type)?.family }
  }
}
