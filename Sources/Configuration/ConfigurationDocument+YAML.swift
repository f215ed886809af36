import Files
import Foundation
import Yams

extension ConfigurationDocument {
  /// Reads a run file.
  package mutating func read(file: String) {
    if let text = text(ofFile: file) { read(yaml: text, named: file) }
  }

  /// The text of a YAML file; nil, with a noted problem, where there is none.
  mutating func text(ofFile file: String) -> String? {
    let data: Data
    do throws(FileError) {
      data = try MappedFile(path: file, most: Self.longestFile).data
    } catch {
      let message =
        switch FileSystem.kind(file) {
        case .folder: "is a folder, not a run file; give the path of a YAML file"
        case .missing: "there is no such run file; check the path"
        default: error.description
        }
      note(.wholeFile(file), nil, message)
      return nil
    }
    guard let text = String(data: data, encoding: .utf8) else {
      note(.wholeFile(file), nil, "is not UTF-8 text; give the path of a YAML file")
      return nil
    }
    return text
  }

  /// Bytes of the longest run file.
  private static let longestFile = 1 << 20

  /// References to anchors that a run file may have: their number can double with each anchor that refers to another.
  private static let mostAliases = 32

  /// Keys that are given twice of which all are told.
  private static let mostDuplicates = 20

  /// Reads the text of a run file.
  ///
  /// - Parameters:
  ///   - text: YAML: a mapping of sections, each a mapping of keys.
  ///   - name: How problems name the file.
  package mutating func read(yaml text: String, named name: String) {
    guard let root = compose(text, named: name) else { return }
    guard let mapping = root.mapping else {
      if root.scalar?.isNull == true { return }
      return note(
        place(root, name), nil, "is a \(root.words), not a run file; write sections, such as model:"
      )
    }
    for (keyNode, node) in mapping {
      let key = keyNode.scalar?.string ?? ""
      let origin = place(keyNode, name)
      if let topLevel = schemas.first(where: \.name.isEmpty), let declared = topLevel.key(key) {
        assign(declared.kind.read(node), to: key, at: place(node, name))
      } else if let schema = schemas.first(where: { $0.name == key && !key.isEmpty }) {
        readSection(schema, node, named: name)
      } else if !key.hasPrefix(Self.duplicateMark) {
        noteUnknownSectionOrKey(key, at: origin)
      }
    }
  }

  private mutating func readSection(_ schema: SectionSchema, _ node: Node, named name: String) {
    guard let mapping = node.mapping else {
      if node.scalar?.isNull == true { return }
      return note(
        place(node, name), schema.name, "is a \(node.words), not a section; write key: value lines")
    }
    for (keyNode, value) in mapping {
      let key = keyNode.scalar?.string ?? ""
      if key.hasPrefix(Self.duplicateMark) { continue }
      if let declared = schema.key(key) {
        // A scalar that is left out has no place of its own worth showing.
        let origin = place(value.scalar?.string.isEmpty == true ? keyNode : value, name)
        assign(declared.kind.read(value), to: schema.path(of: key), at: origin)
      } else if let inner = schemas.first(where: { $0.name == schema.path(of: key) }) {
        readSection(inner, value, named: name)
      } else {
        noteUnknownKey(key, in: schema, at: place(keyNode, name))
      }
    }
  }

  private mutating func noteUnknownSectionOrKey(_ key: String, at origin: Origin) {
    let paths = schemas.flatMap { schema in
      schema.keys.filter { $0.name == key }.map { schema.path(of: $0.name) }
    }
    if let path = paths.first {
      let section = path.split(separator: ".").dropLast().map { "\($0):" }.joined(separator: " ")
      note(origin, key, "stands outside its section; write it under \(section)")
    } else {
      noteUnknownSection(key, path: key, at: origin)
    }
  }

  func place(_ node: Node, _ name: String) -> Origin {
    guard let mark = node.mark else { return .wholeFile(name) }
    return .file(name, line: mark.line, column: mark.column)
  }

  // MARK: Composing

  /// What the name of a key begins with after it was found twice and put aside.
  static var duplicateMark: String { "__given_twice_" }

  /// Composes the text; where a key stands twice, notes it, renames the first and tries again.
  mutating func compose(_ text: String, named name: String) -> Node? {
    guard text.aliases <= Self.mostAliases else {
      note(
        .wholeFile(name), nil,
        "refers to anchors \(text.aliases) times, and may \(Self.mostAliases) times; write values out"
      )
      return nil
    }
    var text = text
    for attempt in 0..<Self.mostDuplicates {
      do throws(any Error) {
        return try Yams.compose(yaml: text)
      } catch YamlError.duplicatedKeysInMapping(let keys, let context) {
        let key = keys.first ?? ""
        note(
          .file(name, line: context.mark.line, column: context.mark.column), nil,
          "\(key) is given more than once; keep one of them")
        let other = "\(Self.duplicateMark)\(attempt)"
        guard let renamed = renaming(key, to: other, at: context.mark, in: text) else { return nil }
        text = renamed
      } catch {
        noteMalformed(error, named: name)
        return nil
      }
    }
    return nil
  }

  private func renaming(_ key: String, to other: String, at mark: Mark, in text: String) -> String?
  {
    var lines = text.components(separatedBy: "\n")
    guard lines.indices.contains(mark.line - 1), !key.isEmpty else { return nil }
    let scalars = Array(lines[mark.line - 1].unicodeScalars)
    let start = mark.column - 1
    let end = start + key.unicodeScalars.count
    guard start >= 0, end <= scalars.count, scalars[start..<end].elementsEqual(key.unicodeScalars)
    else { return nil }
    var line = String.UnicodeScalarView(scalars[..<start])
    line.append(contentsOf: other.unicodeScalars)
    line.append(contentsOf: scalars[end...])
    lines[mark.line - 1] = String(line)
    return lines.joined(separator: "\n")
  }

  private mutating func noteMalformed(_ error: any Error, named name: String) {
    let remedy = "correct the YAML (indent with spaces; one key: value a line)"
    switch error {
    case YamlError.scanner(_, let problem, let mark, _),
      YamlError.parser(_, let problem, let mark, _),
      YamlError.composer(_, let problem, let mark, _):
      note(
        .file(name, line: mark.line, column: mark.column), nil,
        "is not YAML: \(problem); \(remedy)")
    default:
      note(.wholeFile(name), nil, "is not YAML: \(error); \(remedy)")
    }
  }
}

extension String {
  /// How many references to anchors a text of YAML has at most, such as `*base`.
  fileprivate var aliases: Int {
    var count = 0
    var previous = UInt8(ascii: " ")
    for byte in utf8 {
      let isName = byte > 0x20 && !"*[]{},".utf8.contains(byte)
      if previous == UInt8(ascii: "*"), isName { count += 1 }
      // Within a word or behind a quote, a star is only a star.
      previous =
        byte == UInt8(ascii: "*") && !(previous <= 0x20 || "[]{},:-?".utf8.contains(previous))
        ? 0x61 : byte
    }
    return count
  }
}
