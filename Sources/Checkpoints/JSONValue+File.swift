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
      self = try JSONValue(Data(file.bytes))
    } catch {
      throw .damaged(path: path, reason: "it is not JSON")
    }
  }
}
