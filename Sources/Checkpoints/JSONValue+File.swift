import Configuration
import Files
import Foundation

extension JSONValue {
  /// Reads a file; `Infinity` and `NaN` without quotes are accepted, as Python writes them.
  ///
  /// - Throws: `CheckpointError` when the file cannot be read or is not JSON.
  package init(file path: String) throws(CheckpointError) {
    let file = try checkpointFiles { () throws(FileError) in try MappedFile(path: path) }
    do {
      self = try JSONValue(file.data)
    } catch {
      throw .damaged(path: path, reason: "it is not JSON")
    }
  }

  /// A key that an object of a JSON file has more than once; nil where there is none.
  static func repeatedKey(inFile path: String) throws(CheckpointError) -> String? {
    let file = try checkpointFiles { () throws(FileError) in try MappedFile(path: path) }
    return withExtendedLifetime(file) { repeatedKey(in: file.bytes) }
  }

  /// A key that an object in JSON text has more than once; nil where there is none.
  ///
  /// Readers of JSON keep one of the values in silence. Keys are compared as they are written.
  static func repeatedKey(in text: UnsafeRawBufferPointer) -> String? {
    var open: [Set<String>] = []
    var last: String?
    var index = 0
    while index < text.count {
      switch text[index] {
      case UInt8(ascii: "{"), UInt8(ascii: "["): open.append([])
      case UInt8(ascii: "}"), UInt8(ascii: "]"): _ = open.popLast()
      case UInt8(ascii: ":"):
        if let key = last, !open.isEmpty, !open[open.count - 1].insert(key).inserted { return key }
      case UInt8(ascii: "\""):
        let start = index + 1
        index = start
        while index < text.count, text[index] != UInt8(ascii: "\"") {
          index += text[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        last = String(
          decoding: UnsafeRawBufferPointer(rebasing: text[start..<min(index, text.count)]),
          as: UTF8.self)
      default: break
      }
      index += 1
    }
    return nil
  }
}
