import Configuration

/// Which layers of a hybrid are softmax attention, in the layouts of Hugging Face's transformers, and how `config.json` says it.
struct LayerTypes {
  /// Of each layer, bottom up; the others are recurrences.
  let isAttention: [Bool]
  /// The keys, as they are written.
  let configuration: [String: JSONValue]

  /// The words of `layer_types`, those that are written first, and those of older files.
  private static let (attention, recurrences) = (
    ["full_attention", "attention"], ["linear_attention", "mamba"]
  )

  init(_ isAttention: [Bool], _ configuration: [String: JSONValue]) {
    (self.isAttention, self.configuration) = (isAttention, configuration)
  }

  /// Layers in newer files' words.
  init(_ isAttention: [Bool]) {
    self.init(
      isAttention,
      [
        "layer_types": .array(
          isAttention.map { .string(($0 ? Self.attention : Self.recurrences)[0]) })
      ])
  }

  /// What a run file's `mixer` and `layers` name.
  ///
  /// - Parameter usual: Whether a layer is attention where it names no layers.
  init(_ section: ModelSection, usual: (_ layer: Int) -> Bool) {
    self.init(Self.attention(section, usual: usual))
  }

  /// Which layers are attention by a run file's `mixer` and `layers`.
  static func attention(_ section: ModelSection, usual: (_ layer: Int) -> Bool) -> [Bool] {
    section.layers.isEmpty
      ? (0..<section.depth).map(usual)
      : section.mixerOfLayer.map(ModelSection.attention.contains)
  }

  /// What a `config.json`'s `layer_types` says, whose words are written as they were read.
  ///
  /// - Parameter usual: Whether a layer is attention where it is not there.
  init(_ keys: ModelKeys, depth: Int, usual: (_ layer: Int) -> Bool) {
    let usual = (0..<depth).map(usual)
    guard let types = keys.strings("layer_types") else {
      self.init(usual)
      return
    }
    let words = Self.attention + Self.recurrences
    for type in Set(types).sorted() where !words.contains(type) {
      keys.refuse(
        "layer_types",
        "\"\(type)\" is not computed here, only "
          + words.map { "\"\($0)\"" }.joined(separator: ", "))
    }
    guard types.count == depth else {
      keys.refuse("layer_types", "it names \(types.count) layers of \(depth); name every layer")
      self.init(usual)
      return
    }
    self.init(
      types.map(Self.attention.contains),
      ["layer_types": .array(types.map { .string($0) })])
  }
}
