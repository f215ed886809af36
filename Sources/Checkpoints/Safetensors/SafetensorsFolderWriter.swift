import Files

/// Writes a folder's weights: one `model.safetensors`, or shards and their index above a limit.
///
/// Tensors come in any order, each in pieces of any size; a shard is on the disk as soon as it has all of its tensors.
/// For a folder that appears all at once, write into an `AtomicFolder`.
package final class SafetensorsFolderWriter {
  /// The folder, which must exist.
  package let path: String

  private let shards: SafetensorsShards
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
    path: String, tensors: [TensorDescription], shardBytes: Int = SafetensorsShards.usualBytes,
    metadata: [String: String] = ["format": "pt"]
  ) throws(CheckpointError) {
    let shards = SafetensorsShards(tensors, bytes: shardBytes)
    self.path = path
    self.metadata = metadata
    self.shards = shards
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
    guard let shard = shards.shardOfTensor[name] else {
      preconditionFailure("\(path) was not told of a tensor \(name)")
    }
    let writer = try writer(of: shard)
    try writer.write(name, numbers, at: offset)
    if writer.isComplete { try finish(shard) }
  }

  /// Completes the files, writes the index if there are several, and removes the files of an older
  /// model of another number of shards.
  package func finish() throws(CheckpointError) {
    for shard in shards.files.indices where !complete.contains(shard) {
      _ = try writer(of: shard)
      try finish(shard)
    }
    try checkpointFiles { () throws(FileError) in
      var stale = Set([SafetensorsFolder.singleName, SafetensorsFolder.indexName])
      if let index = shards.index {
        try AtomicFile.write(index, to: "\(path)/\(SafetensorsFolder.indexName)")
        stale.remove(SafetensorsFolder.indexName)
      } else {
        stale.remove(SafetensorsFolder.singleName)
      }
      for name in stale { try FileSystem.remove("\(path)/\(name)") }
    }
  }

  private func writer(of shard: Int) throws(CheckpointError) -> SafetensorsWriter {
    if let writer = open[shard] { return writer }
    precondition(!complete.contains(shard), "\(shards.files[shard].name) is complete")
    let writer = try SafetensorsWriter(
      path: "\(path)/\(shards.files[shard].name)", tensors: shards.files[shard].tensors,
      metadata: metadata)
    open[shard] = writer
    return writer
  }

  private func finish(_ shard: Int) throws(CheckpointError) {
    try open.removeValue(forKey: shard)?.finish()
    complete.insert(shard)
  }
}
