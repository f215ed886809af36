import Configuration

/// A hybrid of another maker whose recurrence is Mamba-2, gated before it is normalised.
protocol Mamba2Hybrid: PretrainedHybrid {
  var attention: AttentionSettings { get }
  var rotary: RotaryKeys { get }
  var mamba: Mamba2Settings { get }
}

extension Mamba2Hybrid {
  func mixerName(_ layer: Int) -> String { types.isAttention[layer] ? "self_attn." : "mamba." }

  func attention(at place: MixerPlace, _ builder: inout ModelBuilder) -> any TokenMixer {
    AttentionMixer(attention, at: place, &builder)
  }

  func recurrence(at place: MixerPlace, _ builder: inout ModelBuilder) -> any TokenMixer {
    Mamba2Mixer(mamba, at: place, &builder)
  }

  /// Keys of `config.json` with those of its layers.
  func withLayers(_ own: [String: JSONValue]) -> [String: JSONValue] {
    [
      attention.pretrainedConfiguration(dimension: dimension), rotary.configuration,
      mamba.hybridConfiguration(dimension: dimension),
    ].reduce(into: own) { $0.merge($1) { $1 } }
  }

  /// What a run file's layers have wrong.
  ///
  /// - Parameters:
  ///   - heads: How many heads Mamba-2 has; nil for as many as attention.
  ///   - key: The key that says it.
  func layerProblems(_ section: ModelSection, heads: Int?, key: String) -> [KeyProblem] {
    let ofAttention = attention.problem(dimension: dimension).map {
      [KeyProblem("heads", "dimension", message: $0)]
    }
    let order =
      section.subsections[Mamba2.Keys.self].isNormFirst
      ? [
        KeyProblem(
          "model.mamba2.norm_before_gate",
          message: "the layers of \(Self.name) are gated before they are normalised; remove it")
      ] : []
    return (ofAttention ?? []) + order
      + Mamba2Settings.problems(
        section, heads: heads ?? section.heads, key: heads == nil ? "heads" : key)
  }
}
