import Yams

/// A mapping in a list of the run file, such as one of `optimizer.groups`.
package struct ValueMap: Sendable, Equatable {
  /// What was given, in the order in which it is printed.
  package let values: [(key: String, value: Value)]

  package static func == (one: ValueMap, other: ValueMap) -> Bool {
    one.values.elementsEqual(other.values) { $0.key == $1.key && $0.value == $1.value }
  }

  /// The mapping as YAML that reads back as the same.
  var yaml: String {
    "{" + values.map { "\($0.key): \($0.value.yaml)" }.joined(separator: ", ") + "}"
  }

  /// The mapping as JSON.
  var json: JSONValue {
    .object(Dictionary(uniqueKeysWithValues: values.map { ($0.key, $0.value.json) }))
  }
}

extension KeyKind {
  /// Reads a list of mappings, or one by itself.
  func readMaps(_ node: Node, keys: [KeySchema]) -> Reading {
    let items: [Node]
    if case .sequence(let sequence) = node { items = Array(sequence) } else { items = [node] }
    var maps: [ValueMap] = []
    for (index, item) in items.enumerated() {
      guard let mapping = item.mapping else {
        return .problem("item \(index + 1) is a \(item.words), not a mapping; write \(words)")
      }
      var given: [String: Value] = [:]
      for (name, node) in mapping {
        let name = name.scalar?.string ?? ""
        guard let key = keys.first(where: { $0.name == name }) else {
          let near = nearest(to: name, among: keys.map(\.name)).map { "did you mean \($0)?" }
          return .problem("item \(index + 1): \(name) is no key; " + (near ?? "write \(words)"))
        }
        switch key.kind.read(node) {
        case .unset: break
        case .value(let value): given[name] = value
        case .problem(let message): return .problem("item \(index + 1): \(name) \(message)")
        }
      }
      maps.append(
        ValueMap(values: keys.compactMap { key in given[key.name].map { (key.name, $0) } }))
    }
    return .value(.maps(maps))
  }
}

extension ConfigurationSection {
  /// The section as a mapping: its keys that do not have their defaults.
  fileprivate var map: ValueMap {
    let changes = changes
    return ValueMap(
      values: Self.schema.keys.compactMap { key in changes[key.name].map { (key.name, $0) } })
  }
}

extension Key {
  /// A key that is a list of mappings, each with the keys of a section.
  package init<Item: ConfigurationSection & Equatable>(
    wrappedValue: [Item], _ name: String, _ effect: KeyEffect, formerly former: String? = nil,
    _ documentation: String
  ) where Content == [Item] {
    self.init(
      name, effect, .maps(Item.schema.keys), wrappedValue, nil, former, documentation
    ) {
      .maps($0.map(\.map))
    } read: {
      guard case .maps(let maps) = $0 else { return nil }
      return maps.map { map in
        Item(Dictionary(uniqueKeysWithValues: map.values.map { ($0.key, $0.value) }))
      }
    }
  }
}
