import Configuration
import Files
import Tensors

/// What a run goes on from: a model's folder, or an adapter's, with what the update rule keeps, what streams carry, and
/// `state.json`.
///
/// Nothing is read of its numbers until they are asked for.
package struct Checkpoint: Sendable {
  /// The folder.
  package let path: String
  /// What it says beside its numbers.
  package let state: TrainingState
  /// The hash of its state, by which it is known; empty for one of an earlier format.
  package let identity: String
  private let manifest: CheckpointManifest?

  /// Whether an earlier release wrote it, with all numbers in one file, no configuration and no hashes.
  package var isFormer: Bool { manifest == nil }

  /// Bytes of its files, as it was written.
  package var bytes: Int { manifest?.bytes ?? 0 }

  /// Whether a folder is a checkpoint.
  package static func isOne(_ path: String) -> Bool {
    FileSystem.exists("\(path)/\(TrainingState.fileName)")
  }

  /// Opens a checkpoint.
  ///
  /// - Throws: `CheckpointError` for a folder that is none, or whose `state.json` is damaged.
  package init(path: String) throws(CheckpointError) {
    var path = path
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    try checkpointFiles { () throws(FileError) in try AtomicFolder.recover(path) }
    guard Self.isOne(path) else {
      throw .noCheckpoint(path: path)
    }
    self.path = path
    (state, manifest, identity) = try TrainingState.read(path)
  }

  /// Compares its files with what was written; nothing can be said of one of an earlier format.
  ///
  /// - Parameters:
  ///   - part: Which share of them, from 0; the first looks at all files' sizes.
  ///   - parts: Number of shares.
  /// - Throws: `CheckpointError.damaged` that names the file and the bytes.
  package func verify(part: Int = 0, of parts: Int = 1) throws(CheckpointError) {
    try manifest?.verify(in: path, part: part, of: parts)
  }

  /// Compares the sizes of its files with what was written; reads none.
  ///
  /// - Throws: `CheckpointError.damaged` that names the file.
  package func checkSizes() throws(CheckpointError) { try manifest?.checkSizes(in: path) }

  /// Compares what a checkpoint holds of its model with what was written: all files' sizes, and the bytes of those that a
  /// model's folder has, too, unless that would take long.
  ///
  /// - Parameter most: Most bytes that are compared.
  /// - Returns: What a user should know where they were not; nil where all is as it was written.
  /// - Throws: `CheckpointError.damaged` that names the file and the bytes.
  package func verifyModel(most: Int = 1 << 30) throws(CheckpointError) -> String? {
    guard let manifest else { return nil }
    try manifest.checkSizes(in: path)
    let names = manifest.files.keys.filter {
      $0 != CheckpointLayout.optimizerName && $0 != CheckpointWriter.streamsName
    }
    guard names.reduce(0, { $0 + (manifest.size(of: $1) ?? 0) }) <= most else {
      return
        "\(path) is compared by the sizes of its files only; `lasp-train checkpoints verify \(path)` compares every byte"
    }
    try manifest.verify(names, in: path)
    return nil
  }

  /// Whether a folder is a checkpoint that knows what was written to it.
  static func knowsItsFiles(_ path: String) throws(CheckpointError) -> Bool {
    guard isOne(path) else { return false }
    return try JSONValue(file: "\(path)/\(TrainingState.fileName)")["format"]?.integer != nil
  }

  /// The model's folder, which of a run with adapters lies in the checkpoint's.
  package var modelPath: String {
    FileSystem.exists("\(path)/config.json") ? path : "\(path)/\(CheckpointLayout.modelName)"
  }
}
