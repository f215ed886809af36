import Configuration

/// An architecture whose layers may be of several families: a main one, which gives the model its skeleton and its name,
/// and beside it softmax attention and others.
protocol HybridArchitecture: Architecture {
  /// The family that gives it its name.
  static var family: any FlashMixer.Type { get }
}

extension HybridArchitecture {
  /// What a run file has wrong in any of its layers: sizes, and keys that no family among them has.
  static func layerProblems(_ section: ModelSection) -> [KeyProblem] {
    let layers = FlashLayers(section, main: family.init(section))
    let read = section.families.reduce(into: sharedKeys) { $0.formUnion($1.keys) }
    let attention = layers.settings?.split(section.dimension).problem
    return section.families.flatMap { $0.problems(section) }
      + (attention.map { [KeyProblem("heads", "dimension", message: $0)] } ?? [])
      + section.unread(
        by: family.name, reading: read.union(layers.settings == nil ? [] : ["kv_heads", "window"]))
  }
}

extension Architectures {
  /// The families whose layers can stand in one model.
  static var families: [any FlashMixer.Type] {
    all.compactMap { ($0 as? any HybridArchitecture.Type)?.family }
  }
}
