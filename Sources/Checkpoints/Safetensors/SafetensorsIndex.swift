import Configuration
import Foundation

/// The index file of a sharded folder.
struct SafetensorsIndex {
  /// Which file holds which tensor.
  let weightMap: [String: String]

  init(weightMap: [String: String]) { self.weightMap = weightMap }

  init(path: String) throws(CheckpointError) {
    let json = try JSONValue(file: path)
    if let name = try JSONValue.repeatedKey(inFile: path) {
      throw .damaged(path: path, reason: "it lists \(name) twice")
    }
    let names = json["weight_map"]?.object?.mapValues(\.string)
    guard let names, !names.values.contains(nil) else {
      throw .damaged(path: path, reason: "it has no weight_map from tensors to files")
    }
    weightMap = names.compactMapValues { $0 }
  }

  /// The file's text, given the bytes of all tensors together.
  func encoded(totalBytes: Int) -> Data {
    let content: JSONValue = [
      "metadata": ["total_size": .integer(totalBytes)],
      "weight_map": .object(weightMap.mapValues(JSONValue.string)),
    ]
    return content.encoded
  }
}
