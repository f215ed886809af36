import Yams

/// A value as a YAML file has it, with its place: for files that are no run file but have keys of one in them.
package struct WrittenValue {
  let node: Node
  let file: String
  /// Where it stands.
  package let origin: Origin

  /// A key of a mapping, and what is written for it.
  package struct Entry {
    package let key: String
    /// Where the key stands.
    package let origin: Origin
    package let value: WrittenValue

    package init(key: String, origin: Origin, value: WrittenValue) {
      (self.key, self.origin, self.value) = (key, origin, value)
    }
  }

  /// The text of a single value; nil for a list or a mapping.
  package var text: String? { node.scalar?.string }

  /// Whether nothing is written.
  package var isNull: Bool { node.scalar?.isNull == true }

  /// What it is, in a reader's words: a value, a list or a mapping.
  package var words: String { node.words }

  /// The items of a list; nil for what is none.
  package var items: [WrittenValue]? {
    node.sequence.map { $0.map { WrittenValue($0, in: file, behind: origin) } }
  }

  /// The keys of a mapping, in their order; nil for what is none.
  package var entries: [Entry]? {
    node.mapping?.compactMap { name, value in
      let key = name.scalar?.string ?? ""
      guard !key.hasPrefix(ConfigurationDocument.duplicateMark) else { return nil }
      let value = WrittenValue(value, in: file, behind: origin)
      return Entry(
        key: key, origin: WrittenValue(name, in: file, behind: origin).origin, value: value)
    }
  }

  /// - Parameter outer: Where what it stands in does, for what has no place of its own.
  init(_ node: Node, in file: String, behind outer: Origin) {
    (self.node, self.file) = (node, file)
    origin = node.mark.map { .file(file, line: $0.line, column: $0.column) } ?? outer
  }
}

extension ConfigurationDocument {
  /// What a YAML file has, whatever keys these are; nil, with a noted problem, where it cannot be read.
  package mutating func written(inFile file: String) -> WrittenValue? {
    text(ofFile: file).flatMap { written(in: $0, named: file) }
  }

  /// The same of a text.
  ///
  /// - Parameter name: How problems name the file.
  package mutating func written(in text: String, named name: String) -> WrittenValue? {
    compose(text, named: name).map { WrittenValue($0, in: name, behind: .wholeFile(name)) }
  }

  /// The keys in a mapping with what is written for each, whether they stand in sections or by their whole names
  /// (`model: {depth: 2}`, `model.depth: 2`).
  package func keys(in map: [WrittenValue.Entry]) -> [WrittenValue.Entry] {
    func leaves(_ entries: [WrittenValue.Entry], in section: String) -> [WrittenValue.Entry] {
      entries.flatMap { entry -> [WrittenValue.Entry] in
        let path = section.isEmpty ? entry.key : "\(section).\(entry.key)"
        if schemas.contains(where: { $0.name == path }), let inner = entry.value.entries {
          return leaves(inner, in: path)
        }
        return [.init(key: path, origin: entry.origin, value: entry.value)]
      }
    }
    return leaves(map, in: "")
  }

  /// Gives a key what is written for it elsewhere; a key that there is not, and a value that does not fit, are noted.
  package mutating func set(_ path: String, to value: WrittenValue, at origin: Origin) {
    guard let (schema, key) = find(path, at: origin) else { return }
    assign(key.kind.read(value.node), to: schema.path(of: key.name), at: value.origin)
  }

  /// Gives a key a value that fits it.
  package mutating func set(_ path: String, to value: Value, at origin: Origin) {
    assign(.value(value), to: path, at: origin)
  }
}
