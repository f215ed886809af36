import Foundation

/// Which files the weights of a model's folder lie in: one `model.safetensors`, or shards above a limit.
struct SafetensorsShards: Sendable {
  /// The files, with their tensors in order.
  let files: [(name: String, tensors: [TensorDescription])]
  /// The file of each tensor.
  let shardOfTensor: [String: Int]

  /// 4 GiB, as long as a file becomes.
  static let usualBytes = 4 << 30

  /// Deals tensors out in their order.
  ///
  /// - Parameter bytes: A file gets no further tensor that would make its data longer than this.
  init(_ tensors: [TensorDescription], bytes: Int = usualBytes) {
    var parts: [[TensorDescription]] = [[]]
    var filled = 0
    for tensor in tensors {
      if filled > 0, filled + tensor.bytes > bytes {
        parts.append([])
        filled = 0
      }
      parts[parts.count - 1].append(tensor)
      filled += tensor.bytes
    }
    var shardOfTensor: [String: Int] = [:]
    for (shard, part) in parts.enumerated() {
      for tensor in part { shardOfTensor[tensor.name] = shard }
    }
    precondition(shardOfTensor.count == tensors.count, "two tensors have the same name")
    self.shardOfTensor = shardOfTensor
    files = parts.enumerated().map { (Self.fileName(shard: $0, of: parts.count), $1) }
  }

  /// The text of the index; nil for one file, which needs none.
  var index: Data? {
    guard files.count > 1 else { return nil }
    return SafetensorsIndex(weightMap: shardOfTensor.mapValues { files[$0].name })
      .encoded(totalBytes: files.flatMap(\.tensors).map(\.bytes).reduce(0, +))
  }

  private static func fileName(shard: Int, of count: Int) -> String {
    if count == 1 { return SafetensorsFolder.singleName }
    func padded(_ number: Int) -> String {
      let digits = String(number)
      return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
    }
    return "model-\(padded(shard + 1))-of-\(padded(count)).safetensors"
  }
}
