import Configuration

/// The run file's `model` section: the shape of the language model, and how its weights begin.
package struct ModelSection: ConfigurationSection, Equatable {
  /// The token mixer of every block that `layers` does not name: one of `mixers`.
  package var mixer: String
  /// Width of the residual stream, D.
  package var dimension: Int
  /// Number of blocks.
  package var depth: Int
  /// Number of heads of a mixer, H.
  package var heads: Int
  /// Number of key and value heads where queries share them; nil for one each.
  package var keyValueHeads: Int?
  /// Width of all keys together over D; nil for the mixer's own.
  package var expandKey: Double?
  /// Width of all values together over D; nil for the mixer's own.
  package var expandValue: Double?
  /// The most tokens that a query of softmax attention sees, itself included; nil for all.
  package var window: Int?
  /// Width of TNL's queries, keys, values and gates, all heads together; 0 for D.
  package var hidden: Int
  /// Inner width of the channel mixer; 0 to derive it from D.
  package var glu: Int
  /// Number of tokens the model knows; 0 for what the data needs.
  package var vocabulary: Int
  /// The mixer of every block, bottom up, or a pattern that repeats; empty where all are `mixer`.
  package var layers: [String]
  /// Blocks, counted from 0, whose queries and keys are rotated by learned angles (TNL's LRPE).
  package var lrpeLayers: [Int]
  /// Whether the linear layers have biases.
  package var bias: Bool
  /// Whether embeddings are multiplied by √D.
  package var scaleEmbedding: Bool
  /// Standard deviation of the initial weights.
  package var initStd: Double
  /// Whether the head uses the embedding's weights.
  package var tieEmbeddings: Bool
  /// Model folder to start from; nil to start from random weights.
  package var from: String?

  /// The mixers that a model can be made of.
  package static let mixers = Architectures.all.flatMap { $0.mixers }

  /// What `layers` calls softmax attention beside another mixer.
  static let attention = "attention"

  /// The keys of `model`.
  package static let schema = SectionSchema(
    "model", "The language model: its shape, and how its weights begin.",
    [
      .choice("mixer", "tnl", of: mixers, "Token mixer of every block that layers does not name."),
      .integer("dimension", 64, from: 1, "Width of the residual stream."),
      .integer("depth", 3, from: 1, "Number of blocks."),
      .integer("heads", 4, from: 1, "Number of heads of a mixer."),
      .integer("kv_heads", nil, from: 1, "Key and value heads where queries share them."),
      .number(
        "expand_k", nil, above: 0, "Width of all keys over dimension; null = the mixer's own."),
      .number(
        "expand_v", nil, above: 0, "Width of all values over dimension (gated_deltanet: over keys)."
      ),
      .integer(
        "window", nil, from: 1, unit: "tokens", "Tokens that attention sees; null = all before."),
      .integer("hidden", 0, "Width of TNL's queries, keys, values and gates; 0 = dimension."),
      .integer("glu", 0, "Inner width of the channel mixer; 0 = the mixer's own rule."),
      .integer("vocabulary", 0, unit: "tokens", "Tokens the model knows; 0 = what the data needs."),
      .choices(
        "layers", of: mixers + [attention],
        "Mixers of the blocks, bottom up, repeated; empty = all are mixer."),
      .integers("lrpe_layers", "Blocks, from 0, with TNL's learned rotary positions."),
      .boolean("bias", false, "Whether linear layers have biases."),
      .boolean("scale_embedding", true, "Whether TNL's embeddings are multiplied by √dimension."),
      .number("init_std", 0.1, above: 0, "Standard deviation of the initial weights."),
      .boolean("tie_embeddings", false, "Whether the head uses the embedding's weights."),
      .string("from", nil, "Model folder to start from: its shape and weights replace these keys."),
    ])

  /// Reads the section.
  package init(_ values: SectionValues) {
    mixer = values.string("mixer")
    dimension = values.integer("dimension")
    depth = values.integer("depth")
    heads = values.integer("heads")
    keyValueHeads = values.optionalInteger("kv_heads")
    expandKey = values.optionalNumber("expand_k")
    expandValue = values.optionalNumber("expand_v")
    window = values.optionalInteger("window")
    hidden = values.integer("hidden")
    glu = values.integer("glu")
    vocabulary = values.integer("vocabulary")
    layers = values.strings("layers")
    lrpeLayers = values.integers("lrpe_layers")
    bias = values.boolean("bias")
    scaleEmbedding = values.boolean("scale_embedding")
    initStd = values.number("init_std")
    tieEmbeddings = values.boolean("tie_embeddings")
    from = values.optionalString("from")
  }

  /// `hidden`, or D where it is 0.
  package var hiddenWidth: Int { hidden > 0 ? hidden : dimension }

  /// `glu`, or where it is 0, `8 D / 3` rounded up to a multiple of 64: TNL's rule.
  package var gluWidth: Int { glu > 0 ? glu : (dimension * 8 + 191) / 192 * 64 }

  /// The mixer of every block, bottom up.
  package var mixerOfLayer: [String] {
    let pattern = layers.isEmpty ? [mixer] : layers
    return (0..<depth).map { pattern[$0 % pattern.count] }
  }

  /// The mixer that decides what family the model is of.
  ///
  /// Where all layers are softmax attention, that is the Transformer's.
  var mainMixer: String { mixerOfLayer.first { $0 != Self.attention } ?? "transformer" }

  /// Blocks, from 0, that are softmax attention beside the main mixer.
  var attentionLayers: Set<Int> {
    let main = mainMixer
    guard main != "transformer" else { return [] }
    return Set(mixerOfLayer.indices.filter { mixerOfLayer[$0] == Self.attention })
  }

  /// Layers that do not fit the depth or each other; what the family's sizes and keys make impossible.
  package var problems: [KeyProblem] {
    if !layers.isEmpty, depth % layers.count != 0 {
      return [
        KeyProblem(
          "layers", "depth",
          message: "a pattern of \(layers.count) blocks does not divide a depth of \(depth); "
            + "name every block, or a pattern that repeats")
      ]
    }
    if let other = mixerOfLayer.first(where: { $0 != mainMixer && $0 != Self.attention }) {
      return [
        KeyProblem(
          "layers",
          message: "\(mainMixer) and \(other) cannot stand in one model; choose one of them")
      ]
    }
    return Architectures.type(of: mainMixer).problems(self)
  }

  /// A problem for each key that was given although a family does not have it.
  func unread(by family: String, reading read: Set<String>) -> [KeyProblem] {
    let given = [
      ("kv_heads", keyValueHeads != nil), ("expand_k", expandKey != nil),
      ("expand_v", expandValue != nil), ("window", window != nil), ("hidden", hidden > 0),
      ("lrpe_layers", !lrpeLayers.isEmpty), ("bias", bias), ("tie_embeddings", tieEmbeddings),
    ]
    return given.filter { $0.1 && !read.contains($0.0) }.map {
      KeyProblem($0.0, message: "the mixer \(family) does not have it; remove it")
    }
  }
}
