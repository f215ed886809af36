import Yams

/// What became of the text that was written for a key.
enum Reading {
  /// `null`: the default.
  case unset
  /// A value that fits.
  case value(Value)
  /// Why it does not fit, and what to write.
  case problem(String)
}

extension KeyKind {
  /// Reads the text of an override: as it stands for one value, as YAML for a list.
  func read(text: String) -> Reading {
    let asYAML =
      switch self {
      case .list, .weightedPaths, .maps: text.hasPrefix("[") || text.hasPrefix("{")
      default: false
      }
    guard asYAML else { return read(.scalar(.init(text))) }
    guard let node = (try? Yams.compose(yaml: text)) ?? nil else {
      return .problem("\(text) is not a YAML list; write \(words)")
    }
    return read(node)
  }

  /// Reads a node of the run file.
  func read(_ node: Node) -> Reading {
    if let scalar = node.scalar, scalar.isNull { return .unset }
    switch self {
    case .list(let kind): return KeyKind.readList(node, of: kind, words: words)
    case .weightedPaths: return readWeightedPaths(node)
    case .maps(let keys): return readMaps(node, keys: keys)
    default:
      guard let scalar = node.scalar else {
        return .problem("is a \(node.words), not \(words); write \(words)")
      }
      return readScalar(scalar.string, isQuoted: scalar.isQuoted)
    }
  }

  private func readScalar(_ text: String, isQuoted: Bool) -> Reading {
    switch self {
    case .boolean:
      switch text {
      case "true", "True", "TRUE": return .value(.boolean(true))
      case "false", "False", "FALSE": return .value(.boolean(false))
      default: return .problem("\(shown(text)) is not true or false; write true or false")
      }
    case .integer(let bounds):
      guard !isQuoted, let value = KeyKind.integer(text) else {
        return .problem("\(shown(text)) is not an integer; write \(words)")
      }
      guard bounds.contains(value) else {
        return .problem("\(text) is out of range; write \(words)")
      }
      return .value(.integer(value))
    case .number(let bounds):
      guard !isQuoted, let value = KeyKind.number(text) else {
        return .problem("\(shown(text)) is not a number; write \(words)")
      }
      guard bounds.contains(value) else {
        return .problem("\(text) is out of range; write \(words)")
      }
      return .value(.number(value))
    case .choice(let names):
      if names.contains(text) { return .value(.string(text)) }
      guard let near = nearest(to: text, among: names), names.count > 1 else {
        return .problem("\(shown(text)) is not a choice; write \(words)")
      }
      return .problem(
        "\(shown(text)) is not a choice; did you mean \(near)? The choices are "
          + names.joined(separator: ", "))
    case .string, .list, .weightedPaths, .maps:
      return .value(.string(text))
    }
  }

  private static func readList(_ node: Node, of kind: KeyKind, words: String) -> Reading {
    let items: [Node]
    switch node {
    case .sequence(let sequence): items = Array(sequence)
    case .scalar: items = [node]
    default: return .problem("is a \(node.words), not a list; write \(words)")
    }
    var values: [Value] = []
    for (index, item) in items.enumerated() {
      switch kind.read(item) {
      case .value(let value): values.append(value)
      case .unset: return .problem("item \(index + 1) is null; write \(kind.words) or remove it")
      case .problem(let message): return .problem("item \(index + 1): \(message)")
      }
    }
    return .value(.list(values))
  }

  private func readWeightedPaths(_ node: Node) -> Reading {
    let items: [Node]
    if case .sequence(let sequence) = node { items = Array(sequence) } else { items = [node] }
    var paths: [WeightedPath] = []
    for (index, item) in items.enumerated() {
      switch item {
      case .scalar(let scalar) where !scalar.isNull && !scalar.string.isEmpty:
        paths.append(WeightedPath(path: scalar.string))
      case .mapping(let mapping):
        guard let path = KeyKind.weightedPath(mapping) else {
          return .problem(
            "item \(index + 1) is not {path: …, weight: …} with a path and a weight > 0;"
              + " write \(words)")
        }
        paths.append(path)
      default:
        return .problem("item \(index + 1) is not a path; write \(words)")
      }
    }
    return .value(.weightedPaths(paths))
  }

  private static func weightedPath(_ mapping: Node.Mapping) -> WeightedPath? {
    let keys = mapping.map { $0.key.scalar?.string ?? "" }
    guard Set(keys).isSubset(of: ["path", "weight"]),
      let path = mapping["path"]?.scalar?.string, !path.isEmpty
    else { return nil }
    guard let weightNode = mapping["weight"] else { return WeightedPath(path: path) }
    guard let weight = weightNode.scalar.flatMap({ number($0.string) }), weight > 0 else {
      return nil
    }
    return WeightedPath(path: path, weight: weight)
  }

  /// A whole number, also written `16_384` or `1e4`.
  private static func integer(_ text: String) -> Int? {
    let digits = text.replacing("_", with: "")
    if let value = Int(digits) { return value }
    guard let value = number(digits), abs(value) < 0x1p53 else { return nil }
    return Int(exactly: value)
  }

  /// A finite decimal number, with or without a point or an exponent.
  private static func number(_ text: String) -> Double? {
    guard text.allSatisfy({ $0.isASCII && ($0.isNumber || "+-.eE".contains($0)) }) else {
      return nil
    }
    return Double(text).flatMap { $0.isFinite ? $0 : nil }
  }

  private func shown(_ text: String) -> String {
    text.isEmpty ? "an empty text" : "'\(text)'"
  }
}

extension Node {
  /// What kind of node this is, in a reader's words.
  var words: String {
    switch self {
    case .scalar: "value"
    case .mapping: "mapping"
    case .sequence: "list"
    case .alias: "alias"
    }
  }
}

extension Node.Scalar {
  /// Whether the scalar stands in quotes, and so is text whatever it looks like.
  var isQuoted: Bool { style == .singleQuoted || style == .doubleQuoted }

  /// Whether the scalar is YAML's null: nothing, `~` or `null`, not in quotes.
  var isNull: Bool { !isQuoted && ["", "~", "null", "Null", "NULL"].contains(string) }
}
