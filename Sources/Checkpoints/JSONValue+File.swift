import Configuration
import Files
import Foundation

extension JSONValue {
  /// Reads a file; `Infinity` and `NaN` without quotes are accepted, as Python writes them.
  ///
  /// - Throws: `CheckpointError` when the file cannot be read or is not JSON.
  public init(file path: String) throws(CheckpointError) {
    let text: Data
    do throws(FileError) {
      let file = try MappedFile(path: path)
      text = Data(file.bytes)
    } catch {
      throw .file(error)
    }
    do {
      self = try JSONValue(text)
    } catch {
      throw .damaged(path: path, reason: "it is not JSON")
    }
  }
}
