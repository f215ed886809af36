import Corpora
import Files
import Foundation

/// A file of text to be prepared.
struct SourceFile: Equatable, Sendable {
  /// What its documents are.
  enum Kind: Equatable, Sendable {
    /// The file is one.
    case text
    /// Each line is one, a JSON object.
    case lines
  }

  let path: String
  /// Its size as it lies on the disk.
  let bytes: Int
  let kind: Kind
  let format: PackedFormat

  /// Looks at a file's name and first bytes.
  ///
  /// - Throws: `PreparationError` when it is missing, unreadable, or something else than text.
  init(path: String) throws(PreparationError) {
    self.path = path
    let input = try inputs { () throws(InputError) in try InputFile(path: path) }
    format = input.format
    var status = stat()
    guard stat(path, &status) == 0 else { throw .file(FileError("inspect", path)) }
    bytes = Int(status.st_size)
    var first = [UInt8](repeating: 0, count: 512)
    var count = 0
    while count < first.count {
      let more = try inputs { () throws(InputError) in try input.read(into: &first, from: count) }
      guard more > 0 else { break }
      count += more
    }
    first.removeSubrange(count...)
    if format == .none {
      let foreign = try files { () throws(FileError) in
        try ForeignFormat.of(OpenFile(path: path), isText: true)
      }
      if let foreign { throw .foreignFormat(path: path, foreign) }
    }
    if let (what, cure) = Self.otherKind(first) {
      throw .notText(path: path, what: what, cure: cure)
    }
    let name = Self.plainName(path)
    let isJSON = name.hasSuffix(".json")
    let start = first.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
    if isJSON, start == UInt8(ascii: "[") {
      throw .notText(
        path: path, what: "one JSON array",
        cure: "write each of its members on a line of a .jsonl file, as `jq -c '.[]'` does")
    }
    kind =
      name.hasSuffix(".jsonl") || name.hasSuffix(".ndjson") || isJSON && start == UInt8(ascii: "{")
      ? .lines : .text
  }

  /// A file's name in small letters, without what says how it is packed.
  private static func plainName(_ path: String) -> String {
    let name = FileSystem.name(of: path).lowercased()
    for suffix in [".gz", ".zst", ".zstd"] where name.hasSuffix(suffix) {
      return String(name.dropLast(suffix.count))
    }
    return name
  }

  /// What a text is if it is none, and what to do about it.
  ///
  /// - Parameter first: How it begins, unpacked.
  private static func otherKind(_ first: [UInt8]) -> (what: String, cure: String)? {
    if first.starts(with: Array("%PDF".utf8)) {
      return ("a PDF document", "extract its text, such as by pdftotext")
    }
    if first.count >= 262, first[257..<262].elementsEqual("ustar".utf8) {
      return ("a tar archive", "unpack it, and give the files in it")
    }
    // UTF-8 text has no zero bytes; UTF-16 and arrays of numbers do.
    if first.contains(0) {
      return ("no text: it has zero bytes", "give UTF-8 text or JSONL")
    }
    return nil
  }

  /// Every file that the arguments name, in their order, each once: files, all that lies in folders (but for hidden
  /// names), and what patterns match, sorted by name.
  ///
  /// - Throws: `PreparationError` when an argument names nothing.
  static func all(_ arguments: [String]) throws(PreparationError) -> [SourceFile] {
    var paths: [String] = []
    for argument in arguments {
      var found: [String] = []
      if FileSystem.isFolder(argument) {
        found = try inFolder(argument)
      } else if FileSystem.exists(argument) {
        found = [argument]
      } else {
        for match in matches(argument) {
          found += FileSystem.isFolder(match) ? try inFolder(match) : [match]
        }
      }
      guard !found.isEmpty else { throw .noFiles(pattern: argument) }
      paths += found
    }
    var seen: Set<String> = []
    var all: [SourceFile] = []
    for path in paths where seen.insert(path).inserted { all.append(try SourceFile(path: path)) }
    return all
  }

  private static func inFolder(_ folder: String) throws(PreparationError) -> [String] {
    var paths: [String] = []
    let names = try files { () throws(FileError) in try FileSystem.names(in: folder) }
    for name in names where !name.hasPrefix(".") {
      let path = folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
      paths += FileSystem.isFolder(path) ? try inFolder(path) : [path]
    }
    return paths
  }

  private static func matches(_ pattern: String) -> [String] {
    var result = glob_t()
    defer { globfree(&result) }
    guard glob(pattern, 0, nil, &result) == 0 else { return [] }
    return (0..<Int(result.gl_pathc)).compactMap { result.gl_pathv[$0].map { String(cString: $0) } }
  }
}
