import Configuration
import Models

/// The keys of an `adapter_config.json`.
struct AdapterKeys {
  private let json: JSONValue
  private let path: String

  init(_ json: JSONValue, path: String) { (self.json, self.path) = (json, path) }

  /// The model that the adapter was trained on.
  var base: String? { json["base_model_name_or_path"]?.string }

  /// What a user should know, a line each.
  var notices: [String] {
    guard let dropout = json["lora_dropout"]?.number, dropout != 0 else { return [] }
    return ["\(path) has a lora_dropout of \(dropout), which is not applied here"]
  }

  /// What the keys describe.
  ///
  /// - Throws: `CheckpointError.unsupported` for what changes the computation in a way that is not known here.
  func lora() throws(CheckpointError) -> LoRA {
    let type = json["peft_type"]?.string ?? "none"
    guard type == "LORA" else { throw wrong("peft_type is \(type), and only LORA is read") }
    for (key, plain) in Self.refused {
      guard let value = json[key], value != .null, !plain.contains(value) else { continue }
      throw wrong("\(key) is \(value.text), which is not computed here")
    }
    let start = json["init_lora_weights"]?.string ?? "true"
    guard !["pissa", "olora", "corda", "loftq"].contains(where: { start.hasPrefix($0) }) else {
      throw wrong(
        "init_lora_weights is \(start), which changes the base model's weights; convert it in PEFT")
    }
    guard let rank = json["r"]?.integer, rank > 0 else { throw wrong("r is no rank") }
    guard let alpha = (json["lora_alpha"] ?? 8).number else {
      throw wrong("lora_alpha is no number")
    }
    guard let targets = try targets("target_modules") else {
      throw wrong("it has no target_modules")
    }
    var lora = LoRA(targets, rank: rank, alpha: alpha)
    lora.excluded = try self.targets("exclude_modules")
    lora.usesRootOfRank = json["use_rslora"]?.bool ?? false
    lora.needsEach = false
    for (pattern, value) in try pattern("rank_pattern") {
      guard let rank = value.integer, rank > 0 else { throw wrong("rank_pattern has no rank") }
      lora.ranks.append((pattern, rank))
    }
    for (pattern, value) in try pattern("alpha_pattern") {
      guard let alpha = value.number else { throw wrong("alpha_pattern holds what is no number") }
      lora.alphas.append((pattern, alpha))
    }
    let layers = try list("layers_to_transform") { $0.integer }
    lora.layers = layers?.isEmpty == true ? nil : layers
    lora.layerNames = try list("layers_pattern") { $0.string } ?? []
    lora.modulesToSave = try list("modules_to_save") { $0.string } ?? []
    return lora
  }

  /// Keys that change what is computed, each with the values that do not.
  private static let refused: [(key: String, plain: [JSONValue])] = [
    ("use_dora", [false]), ("bias", ["none"]), ("fan_in_fan_out", [false]),
    ("layer_replication", []), ("lora_bias", [false]), ("trainable_token_indices", []),
    ("target_parameters", [.array([])]), ("use_qalora", [false]), ("use_bdlora", []),
    ("alora_invocation_tokens", []), ("arrow_config", []), ("velora_config", []),
    ("monteclora_config", []), ("kasa_config", []), ("lora_ga_config", []),
  ]

  private func targets(_ key: String) throws(CheckpointError) -> LoRA.Targets? {
    switch json[key] {
    case .none, .null: return nil
    case .string("all-linear"): return .allLinear
    case .string(let pattern):
      guard LoRA.isPattern(pattern) else {
        throw wrong("\(key) is \(pattern), a regular expression that cannot be read")
      }
      return .pattern(pattern)
    default: return try list(key) { $0.string }.map { .suffixes($0) }
    }
  }

  /// A list, or one value; nil for null.
  private func list<Item>(
    _ key: String, _ item: (JSONValue) -> Item?
  ) throws(CheckpointError) -> [Item]? {
    guard let value = json[key], value != .null else { return nil }
    let values = value.array ?? [value]
    let items = values.compactMap(item)
    guard items.count == values.count else { throw wrong("\(key) is \(value.text)") }
    return items
  }

  private func pattern(_ key: String) throws(CheckpointError) -> [(String, JSONValue)] {
    guard let value = json[key], value != .null else { return [] }
    guard let fields = value.object else { throw wrong("\(key) is \(value.text)") }
    // The first that fits counts, and PEFT writes them sorted.
    return fields.map { ($0.key, $0.value) }.sorted { $0.0 < $1.0 }
  }

  private func wrong(_ reason: String) -> CheckpointError {
    .unsupported(path: path, reason: reason)
  }
}
