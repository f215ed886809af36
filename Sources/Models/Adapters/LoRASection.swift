import Configuration

/// The run file's `lora` section: adapters of low rank, which are trained instead of the model's weights.
package struct LoRASection: ConfigurationSection, Equatable {
  package static let name = "lora"
  package static let documentation =
    "Adapters of low rank, which are trained instead of the model's own weights."

  @Key(
    "targets", .model,
    "Projections that get one: ends of their names, a regular expression, or all-linear; empty = none."
  )
  package var targets: [String] = []

  @Key("rank", .model, from: 1, "Rank r of an adapter.")
  package var rank = 8

  @Key("alpha", .model, above: 0, "α; an adapter is multiplied by α/r.")
  package var alpha = 8.0

  @Key("dropout", .model, from: 0, "Only 0: what goes into an adapter is never dropped.")
  package var dropout = 0.0

  @Key("rslora", .model, "Whether an adapter is multiplied by α/√r instead.")
  package var rslora = false

  @Key("layers", .model, "Numbers of the layers whose projections get one; empty = all.")
  package var layers: [Int] = []

  @Key(
    "modules_to_save", .model,
    "Ends of the names of modules that are trained as a whole beside them.")
  package var modulesToSave: [String] = []

  package init() {}

  /// Keys without targets, dropout, and regular expressions that are none.
  package var problems: [KeyProblem] {
    if dropout != 0 {
      return [KeyProblem("dropout", message: "adapters have no dropout here; write 0 or remove it")]
    }
    if targets.isEmpty, let key = changes.keys.sorted().first {
      return [
        KeyProblem(key, message: "no projection gets an adapter; give lora.targets, or remove it")
      ]
    }
    if case .pattern(let pattern) = lora?.targets, !LoRA.isPattern(pattern) {
      return [
        KeyProblem("targets", message: "\(pattern) is no regular expression; write one, or names")
      ]
    }
    return []
  }

  /// The adapters; nil for none.
  package var lora: LoRA? {
    guard let first = targets.first else { return nil }
    let isPattern = targets.count == 1 && first.contains { "*+?()[]{}|^$\\".contains($0) }
    var lora = LoRA(
      first == "all-linear" && targets.count == 1
        ? .allLinear : isPattern ? .pattern(first) : .suffixes(targets), rank: rank, alpha: alpha)
    lora.usesRootOfRank = rslora
    lora.layers = layers.isEmpty ? nil : layers
    lora.modulesToSave = modulesToSave
    return lora
  }
}
