import Configuration

/// How many tokens the queries of each layer see, and the keys of `config.json` that say it.
struct LayerWindows {
  /// Of each layer, bottom up: the most tokens a query sees, itself included; nil for all.
  let layers: [Int?]
  /// The keys, as they are written.
  let configuration: [String: JSONValue]

  /// Where a family's windows are.
  enum Rule {
    /// Nowhere.
    case none
    /// In all layers: `sliding_window`, which is null for none.
    case all
    /// In all layers where `sliding_window` is there and not null.
    case any
    /// In all layers where `use_sliding_window`.
    case asked
    /// From the layer `max_window_layers` on, where `use_sliding_window`; or where `layer_types` says.
    case upper
    /// In every other layer from the first on, below the layer `max_window_layers`, where `use_sliding_window`; or where
    /// `layer_types` says.
    case alternate
  }

  /// The words of `layer_types`.
  private static let (full, sliding) = ("full_attention", "sliding_attention")
  /// `sliding_window` and `max_window_layers` where a `config.json` does not say them.
  private static let (usualWindow, usualFirst) = (4096, 28)

  /// What a run file says.
  ///
  /// - Parameter first: The first layer with a window, of the upper ones.
  init(_ rule: Rule, window: Int?, first: Int, depth: Int) {
    switch rule {
    case .none: (layers, configuration) = ([Int?](repeating: nil, count: depth), [:])
    case .all, .any:
      layers = [Int?](repeating: window, count: depth)
      configuration = ["sliding_window": .optional(window)]
    case .asked:
      layers = [Int?](repeating: window, count: depth)
      configuration = [
        "use_sliding_window": .bool(window != nil), "sliding_window": .optional(window),
      ]
    case .upper, .alternate:
      layers = (0..<depth).map { $0 >= first ? window : nil }
      var written: [String: JSONValue] = [
        "use_sliding_window": .bool(window != nil), "sliding_window": .optional(window),
        "max_window_layers": .integer(window == nil ? depth : first),
      ]
      // No number says it.
      if rule == .alternate, window != nil {
        let types = layers.map { $0 == nil ? Self.full : Self.sliding }
        written["layer_types"] = .array(types.map { .string($0) })
      }
      configuration = written
    }
  }

  /// What a `config.json` says.
  init(_ rule: Rule, _ keys: ModelKeys, depth: Int) {
    var written: [String: JSONValue] = [:]
    var layers = [Int?](repeating: nil, count: depth)
    func window() -> Int? {
      // Where it is not used, transformers writes 0.
      let isNone = keys.isNull("sliding_window") || keys.json["sliding_window"] == .integer(0)
      let window = isNone ? nil : keys.positive("sliding_window", default: Self.usualWindow)
      written["sliding_window"] = .optional(window)
      return window
    }
    var inWindow: Int?
    switch rule {
    case .none: break
    case .all:
      inWindow = window()
      layers = [Int?](repeating: inWindow, count: depth)
    case .any:
      inWindow = keys.optionalPositive("sliding_window")
      written["sliding_window"] = .optional(inWindow)
      layers = [Int?](repeating: inWindow, count: depth)
    case .asked:
      let (isUsed, said) = (keys.boolean("use_sliding_window", default: false), window())
      written["use_sliding_window"] = .bool(isUsed)
      inWindow = isUsed ? said : nil
      layers = [Int?](repeating: inWindow, count: depth)
    case .upper, .alternate:
      let (isUsed, said) = (keys.boolean("use_sliding_window", default: false), window())
      let first = keys.integer("max_window_layers", default: Self.usualFirst)
      written["use_sliding_window"] = .bool(isUsed)
      written["max_window_layers"] = .integer(first)
      inWindow = isUsed ? said : nil
      layers = (0..<depth).map { layer in
        let isSliding = rule == .upper ? layer >= first : layer % 2 == 0 && layer < first
        return isSliding ? inWindow : nil
      }
    }
    if let types = keys.strings("layer_types") {
      written["layer_types"] = .array(types.map { .string($0) })
      layers = Self.layers(types, instead: layers, window: inWindow, rule, keys)
    }
    (self.layers, configuration) = (layers, written)
  }

  /// The windows that `layer_types` names, which must be those of the other keys where a family has no choice.
  private static func layers(
    _ types: [String], instead usual: [Int?], window: Int?, _ rule: Rule, _ keys: ModelKeys
  ) -> [Int?] {
    if types.count != usual.count {
      keys.refuse(
        "layer_types", "it names \(types.count) layers of \(usual.count); name every layer")
      return usual
    }
    for type in Set(types).sorted() where type != full && type != sliding {
      keys.refuse(
        "layer_types", "\"\(type)\" is not computed here, only \"\(full)\", \"\(sliding)\"")
    }
    if window == nil, types.contains(sliding) {
      keys.refuse("layer_types", "it has layers of \(sliding), and no window is said and used")
    }
    let named = types.map { $0 == sliding ? window : nil }
    if rule != .upper, rule != .alternate, named != usual {
      keys.refuse("layer_types", "it does not fit sliding_window; remove it")
    }
    return named
  }
}
