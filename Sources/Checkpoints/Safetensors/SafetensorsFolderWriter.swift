import Files

/// Writes a folder's weights: one `model.safetensors`, or shards and their index above a limit.
///
/// Tensors come in the order that they were told in, each in pieces of any size; a shard is complete
/// and on the disk before the next one begins. For a folder that appears all at once, write into an
/// `AtomicFolder`.
package final class SafetensorsFolderWriter {
  /// The folder, which must exist.
  package let path: String
  private let shards: [(name: String, tensors: [TensorDescription])]
  private let shardOfTensor: [String: Int]
  private let metadata: [String: String]
  private var current = -1
  private var writer: SafetensorsWriter?

  /// Plans the files and begins the first one.
  ///
  /// - Parameters:
  ///   - path: The folder.
  ///   - tensors: Everything that will be written, in this order.
  ///   - shardBytes: A file gets no further tensor that would make its data longer than this.
  ///   - metadata: Free text for each file.
  package init(
    path: String, tensors: [TensorDescription], shardBytes: Int = 4 << 30,
    metadata: [String: String] = ["format": "pt"]
  ) throws(CheckpointError) {
    var parts: [[TensorDescription]] = [[]]
    var filled = 0
    for tensor in tensors {
      if filled > 0, filled + tensor.bytes > shardBytes {
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
    self.path = path
    self.shardOfTensor = shardOfTensor
    self.metadata = metadata
    shards = parts.enumerated().map { shard, part in
      (SafetensorsFolderWriter.fileName(shard: shard, of: parts.count), part)
    }
    try begin(0)
  }

  /// Writes a piece of a tensor.
  ///
  /// - Parameters:
  ///   - name: A tensor of the file being written, or the first one of the next file.
  ///   - numbers: The elements, row-major.
  ///   - offset: The first element's place in the tensor.
  package func write(
    _ name: String, _ numbers: UnsafeBufferPointer<Float>, at offset: Int = 0
  ) throws(CheckpointError) {
    guard let shard = shardOfTensor[name] else {
      preconditionFailure("\(path) was not told of a tensor \(name)")
    }
    while current < shard { try begin(current + 1) }
    precondition(shard == current, "tensor \(name) comes too late: its file is complete")
    try writer?.write(name, numbers, at: offset)
  }

  /// Completes the last file, writes the index if there are several, and removes the files of an older
  /// model of another number of shards.
  package func finish() throws(CheckpointError) {
    while current < shards.count { try begin(current + 1) }
    try checkpointFiles { () throws(FileError) in
      var stale = Set([SafetensorsFolder.singleName, SafetensorsFolder.indexName])
      if shards.count > 1 {
        let bytes = shards.flatMap(\.tensors).map(\.bytes).reduce(0, +)
        let index = SafetensorsIndex(weightMap: shardOfTensor.mapValues { shards[$0].name })
        try AtomicFile.write(
          index.encoded(totalBytes: bytes), to: "\(path)/\(SafetensorsFolder.indexName)")
        stale.remove(SafetensorsFolder.indexName)
      } else {
        stale.remove(SafetensorsFolder.singleName)
      }
      for name in stale { try FileSystem.remove("\(path)/\(name)") }
    }
  }

  private func begin(_ shard: Int) throws(CheckpointError) {
    try writer?.finish()
    writer = nil
    current = shard
    guard shard < shards.count else { return }
    writer = try SafetensorsWriter(
      path: "\(path)/\(shards[shard].name)", tensors: shards[shard].tensors, metadata: metadata)
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
