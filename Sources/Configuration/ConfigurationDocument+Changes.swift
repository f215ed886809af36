import Foundation

/// What is different in a run that goes on from another.
extension ConfigurationDocument {
  /// The keys that the run file or the command line gives, as `section.key`, sorted.
  package var given: [String] { values.keys.sorted() }

  /// Reads some keys of the resolved values of another document, as `json` writes them.
  ///
  /// - Parameters:
  ///   - keys: Those that were given there, as `section.key`; the others keep their defaults.
  ///   - name: How problems name the file that they stand in.
  package mutating func read(json: JSONValue, keys: [String], named name: String) {
    var tree: [String: JSONValue] = [:]
    for path in keys {
      let parts = path.split(separator: ".").map(String.init)
      guard let value = parts.reduce(json as JSONValue?, { $0?[$1] }) else { continue }
      tree = Self.setting(value, at: parts[...], in: tree)
    }
    read(yaml: JSONValue.object(tree).text, named: name)
  }

  private static func setting(
    _ value: JSONValue, at path: ArraySlice<String>, in tree: [String: JSONValue]
  ) -> [String: JSONValue] {
    guard let first = path.first else { return tree }
    var tree = tree
    let rest = path.dropFirst()
    tree[first] =
      rest.isEmpty ? value : .object(setting(value, at: rest, in: tree[first]?.object ?? [:]))
    return tree
  }

  /// A key that has another value than before.
  package struct Change: Sendable, Equatable, CustomStringConvertible {
    /// The key, as `section.key`.
    package let key: String
    /// What follows from the change.
    package let effect: KeyEffect
    /// Both values.
    package let before, after: Value

    /// `optimizer.learning_rate 0.002 → 0.001`.
    package var description: String { "\(key) \(before.yaml) → \(after.yaml)" }
  }

  /// The keys that have other values than in an earlier document of the same schemas, in their order.
  package func changes(from earlier: ConfigurationDocument) -> [Change] {
    schemas.flatMap { schema in
      schema.keys.compactMap { key in
        let (before, after) = (earlier.value(of: key, in: schema), value(of: key, in: schema))
        guard before != after else { return nil }
        return Change(
          key: schema.path(of: key.name), effect: key.effect, before: before, after: after)
      }
    }
  }
}
