import Configuration

extension Architectures {
  /// What a run file would say of a model: the keys of the model section that can be told, by name.
  package static func keys(describing model: any Architecture) -> [String: Value] {
    let json = model.configuration
    func integer(_ names: String...) -> Value? {
      names.lazy.compactMap { json[$0]?.integer }.first.map { .integer($0) }
    }
    var keys: [String: Value] = [
      "mixer": .string(Swift.type(of: model).mixers[0]), "dimension": .integer(model.dimension),
      "depth": .integer(model.depth), "vocabulary": .integer(model.vocabulary),
      "tie_embeddings": .boolean(model.tiesEmbedding), "init_std": .number(model.initialDeviation),
    ]
    keys["heads"] = integer("num_heads", "num_attention_heads", "decoder_attention_heads")
    keys["glu"] = integer("intermediate_size", "glu_dim")
    if let kinds = (model as? any HybridArchitecture)?.layers.kinds, Set(kinds).count > 1 {
      keys["layers"] = .list(kinds.map { .string($0) })
    }
    if let hybrid = model as? any PretrainedHybrid {
      let name = Swift.type(of: hybrid).mixers[0]
      keys["layers"] = .list(
        hybrid.types.isAttention.map { .string($0 ? FlashLayers.attention : name) })
    }
    return keys
  }

  /// Whether two names of mixers mean the same family.
  package static func isSame(_ one: String, _ other: String) -> Bool {
    one == other || type(of: one) == type(of: other)
  }
}
