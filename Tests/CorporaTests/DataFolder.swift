import Corpora
import Foundation

/// A folder of a test's own, removed with the value.
final class DataFolder {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "corpora-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func write(_ name: String, _ bytes: some Sequence<UInt8>) throws -> String {
    let file = "\(path)/\(name)"
    try Data(bytes).write(to: URL(fileURLWithPath: file))
    return file
  }

  /// A file of 16-bit tokens 0, 1, 2, …, so that a token tells its position.
  func counting(_ count: Int, _ name: String = "tokens.bin", from first: Int = 0) throws
    -> TokenFile
  {
    let bytes = (first..<first + count).flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
    return try TokenFile(path: try write(name, bytes))
  }
}

extension Corpus {
  /// A whole step, all rows and positions.
  func whole(_ step: Int) throws -> TokenBatch {
    var result = TokenBatch(rows: 0..<batch, positions: 0..<length)
    try fill(&result, step: step)
    return result
  }
}
