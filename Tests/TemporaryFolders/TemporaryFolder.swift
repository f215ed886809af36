import Foundation

/// A folder of a test's own, removed with the value.
package final class TemporaryFolder {
  /// Where it lies.
  package let path: String

  /// Makes an empty folder.
  package init() throws {
    path = NSTemporaryDirectory() + "lasp-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// The path of a name in it.
  package func file(_ name: String) -> String { "\(path)/\(name)" }

  /// Writes a file, makes the folders that its name has, and gives its path.
  @discardableResult
  package func write(_ name: String, _ content: Data) throws -> String {
    let url = URL(fileURLWithPath: file(name))
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try content.write(to: url)
    return url.path
  }

  /// Writes a text.
  @discardableResult
  package func write(_ name: String, _ text: String) throws -> String {
    try write(name, Data(text.utf8))
  }

  /// What a file holds.
  package func read(_ name: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: file(name)))
  }

  /// What a file of text holds.
  package func text(_ name: String) throws -> String {
    try String(decoding: read(name), as: UTF8.self)
  }

  /// Whether there is a file or folder of this name.
  package func has(_ name: String) -> Bool { FileManager.default.fileExists(atPath: file(name)) }

  /// The names of all that lies in it, sorted.
  package var names: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }
  }
}
