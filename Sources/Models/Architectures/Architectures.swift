import Configuration

/// The one place that maps names to architectures.
package enum Architectures {
  /// All architectures.
  package static let all: [any Architecture.Type] = [
    TransNormerLLM.self, FlashModel<LinearAttention>.self, FlashModel<ReBased>.self,
    FlashModel<RetNet>.self, FlashModel<GatedLinearAttention>.self,
    FlashModel<DeltaNet>.self, FlashModel<GatedDeltaNet>.self, FlashModel<MixtureOfMemories>.self,
    FlashModel<Transformer>.self,
    FlashModel<HGRN2>.self,
    FlashModel<GatedSlotAttention>.self,
    MambaModel<Mamba2>.self,
    FlashModel<KimiDeltaAttention>.self,
    FlashModel<ReGLA>.self, FlashModel<GateLoop>.self,
    FlashModel<Comba>.self, FlashModel<GatedDeltaProduct>.self,
    FlashModel<HGRN>.self, MambaModel<Mamba>.self, Samba.self,
    FlashModel<ForgettingTransformer>.self, FlashModel<CosFormer>.self,
    RWKVModel<RWKV6>.self, RWKVModel<RWKV7>.self,
    FlashModel<LightNet>.self,
    XLSTM.self,
    PretrainedTransformer<Llama>.self, PretrainedTransformer<Mistral>.self,
    PretrainedTransformer<Qwen2>.self, PretrainedTransformer<Qwen3>.self,
    PretrainedTransformer<Mixtral>.self, PretrainedTransformer<Qwen2Moe>.self,
    PretrainedTransformer<Qwen3Moe>.self, MiniMax.self, Bamba.self, GraniteMoeHybrid.self,
    Qwen3Next.self, KimiLinear.self,
    LinearisedTransformer<LigerGLA>.self, LinearisedTransformer<LigerHGRN2>.self,
    LinearisedTransformer<LigerGSA>.self, LinearisedTransformer<LoLCATs>.self,
    LinearisedTransformer<Hedgehog>.self, LinearisedTransformer<T2R>.self,
    LinearisedTransformer<SUPRA>.self, LinearisedTransformer<Lizard>.self,
  ]

  /// The architecture that provides a mixer.
  static func type(of mixer: String) -> any Architecture.Type {
    guard let type = all.first(where: { $0.mixers.contains(mixer) }) else {
      preconditionFailure("no architecture provides the mixer \(mixer)")
    }
    return type
  }

  /// What people are told about the family of a mixer.
  package static func card(of mixer: String) -> ModelCard { type(of: mixer).card }

  /// The run file's keys of a mixer: those of the model section that it reads, and the name of its own section.
  package static func keys(of mixer: String) -> (own: Set<String>, section: String?) {
    let type = type(of: mixer)
    let all = Set(ModelSection.schema.keys.map(\.name))
    return (all.subtracting(ModelSection.shared.subtracting(type.sharedKeys)), type.section?.name)
  }

  /// The architecture of a run file.
  package static func make(_ section: ModelSection, vocabulary: Int) -> any Architecture {
    type(of: section.mainMixer).init(section, vocabulary: vocabulary)
  }

  /// The architecture of a `config.json`, and the keys of it that this program does not know.
  ///
  /// - Throws: `ModelError`, for all keys that are missing, of the wrong type, or change what the model computes.
  package static func read(
    _ configuration: JSONValue
  ) throws(ModelError) -> (architecture: any Architecture, unknown: [String]) {
    let keys = ModelKeys(configuration)
    let name = keys.string("model_type", default: "")
    if let problem = keys.problems.first { throw problem }
    guard !name.isEmpty else { throw .missingKey("model_type") }
    guard let type = all.first(where: { $0.modelTypes.contains(name) }) else {
      if let reason = refused[name] { throw .refusedModel(name, reason: reason) }
      throw .unknownModel(name, known: all.flatMap { $0.modelTypes })
    }
    let architecture: any Architecture
    do throws(ModelError) {
      architecture = try type.init(keys)
    } catch {
      // What does not fit together may follow from what was gone on with instead of a wrong value.
      throw ModelError(keys.problems) ?? error
    }
    let known = keys.read.union(architecture.configuration.keys).union(type.ignoredKeys)
    let foreign = ForeignKeys(in: configuration, read: known)
    if let error = ModelError(keys.problems + foreign.problems) { throw error }
    return (architecture, foreign.unknown)
  }
}
