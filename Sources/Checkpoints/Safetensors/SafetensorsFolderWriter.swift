import Files

/// Writes a folder's weights: one `model.safetensors`, or shards and their index above a limit.
///
/// Tensors come in any order, each in pieces of any size; a shard is on the disk as soon as it has all of its tensors.
/// For a folder that appears all at once, write into an `AtomicFolder`.
package final class SafetensorsFolderWriter {
  /// The folder, which must exist.
  package let path: String
  /// 4 GiB, as long as a file becomes.
  package static let usualShardBytes = 4 << 30

  private let shards: [(name: String, tensors: [TensorDescription])]
  private let shardOfTensor: [String: Int]
  private let metadata: [String: String]
  /// The shards that are begun and not complete; the numbers of those that are.
  private var open: [Int: SafetensorsWriter] = [:]
  private var complete: Set<Int> = []

  /// Plans the files.
  ///
  /// - Parameters:
  ///   - path: The folder.
  ///   - tensors: Everything that will be written; files hold it in this order.
  ///   - shardBytes: A file gets no further tensor that would make its data longer than this.
  ///   - metadata: Free text for each file.
  package init(
    path: String, tensors: [TensorDescription], shardBytes: Int = usualShardBytes,
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
  }

  /// Writes a piece of a tensor.
  ///
  /// - Parameters:
  ///   - name: One of the tensors told at the start.
  ///   - numbers: The elements, row-major.
  ///   - offset: The first element's place in the tensor.
  package func write(
    _ name: String, _ numbers: UnsafeBufferPointer<Float>, at offset: Int = 0
  ) throws(CheckpointError) {
    guard let shard = shardOfTensor[name] else {
      preconditionFailure("\(path) was not told of a tensor \(name)")
    }
    let writer = try writer(of: shard)
    try writer.write(name, numbers, at: offset)
    if writer.isComplete { try finish(shard) }
  }

  /// Completes the files, writes the index if there are several, and removes the files of an older
  /// model of another number of shards.
  package func finish() throws(CheckpointError) {
    for shard in shards.indices where !complete.contains(shard) {
      _ = try writer(of: shard)
      try finish(shard)
    }
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

  private func writer(of shard: Int) throws(CheckpointError) -> SafetensorsWriter {
    if let writer = open[shard] { return writer }
    precondition(!complete.contains(shard), "\(shards[shard].name) is complete")
    let writer = try SafetensorsWriter(
      path: "\(path)/\(shards[shard].name)", tensors: shards[shard].tensors, metadata: metadata)
    open[shard] = writer
    return writer
  }

  private func finish(_ shard: Int) throws(CheckpointError) {
    try open.removeValue(forKey: shard)?.finish()
    complete.insert(shard)
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
