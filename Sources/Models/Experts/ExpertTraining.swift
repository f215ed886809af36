import Configuration

/// What a run says of how the experts of a model in a folder are trained; what they are, the folder's `config.json` says.
///
/// Concretely: it takes the place of what that file says of the same, and is written with the model.
package struct ExpertTraining: Sendable, Equatable {
  /// Keys of the run file's `model.experts`, each with its name in a `config.json`.
  private static let names = [
    "balance": "router_aux_loss_coef", "z_loss": "router_z_loss_coef",
    "bias_update": ExpertSettings.biasUpdateKey,
  ]
  /// Keys of `model.experts` that mean something beside a folder with experts.
  package static let keys = names.keys.sorted() + ["capacity"]

  /// Of each key that is given its value.
  private let values: [String: Double]

  /// What is given of a section.
  package init(_ section: ExpertsSection, given: (_ key: String) -> Bool) {
    let all = [
      "balance": section.balance, "z_loss": section.zLoss, "bias_update": section.biasUpdate,
      "capacity": section.capacity,
    ]
    values = all.filter { given($0.key) }
  }

  /// The architecture of a `config.json`, trained so, and the keys of that file which this program does not know.
  ///
  /// - Returns: What is given and has no meaning for it, too.
  /// - Throws: `ModelError`, as reading the file does.
  package func read(
    _ configuration: JSONValue
  ) throws(ModelError) -> (architecture: any Architecture, unknown: [String], unread: [String]) {
    let (read, unknown) = try Architectures.read(configuration)
    guard case .object(var keys) = configuration, !values.isEmpty else {
      return (read, unknown, [])
    }
    let counts = ["num_experts", "num_local_experts"]
    guard counts.contains(where: { (read.configuration[$0]?.integer ?? 0) > 0 }) else {
      return (read, unknown, values.keys.sorted())
    }
    for (key, name) in Self.names {
      if let value = values[key] { keys[name] = .number(value) }
    }
    // Layouts of transformers have a key that says whether the loss is minimised.
    let asks = "output_router_logits"
    if let balance = values["balance"], read.configuration[asks] != nil {
      keys[asks] = .bool(balance > 0)
    }
    let changed = try Architectures.read(.object(keys))
    let unread = Self.names.filter { values[$0.key] != nil && changed.unknown.contains($0.value) }
    return (
      changed.architecture,
      changed.unknown.filter { !unread.values.contains($0) || unknown.contains($0) },
      unread.keys.sorted()
    )
  }
}
