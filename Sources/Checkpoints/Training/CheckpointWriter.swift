import Configuration
import Files
import Foundation
import Models
import Tensors

/// A checkpoint that is being written below a run's folder, which appears under its name only when all of it is on the disk.
///
/// It makes the folder and writes what is small; numbers are written by it and by `RangeWriter`s of other ranks, each its own, to
/// `folder`. In the end it writes the manifest of all that was written, and renames the folder.
package final class CheckpointWriter {
  private let state: TrainingState
  private let files: AtomicFolder
  private let ranges: RangeWriter
  /// What was written of small files.
  private var written: [WrittenRange] = []

  /// Where it is written until it is complete.
  package var folder: String { files.path }

  /// Begins a checkpoint.
  ///
  /// - Parameters:
  ///   - folder: The folder of the run's checkpoints.
  ///   - earlier: The folder that the model began from: its `config.json`'s keys are kept where this program has none of its own, and
  ///     its companions and the tensors that are kept go along.
  ///   - tokenizer: Files that go along in the place of the companions.
  /// - Throws: `CheckpointError` when the place may not be written, or has no room.
  package init(
    _ state: TrainingState, _ layout: CheckpointLayout, below folder: String,
    keeping earlier: ModelFolder.Origin? = nil, tokenizer: TokenizerFiles? = nil
  ) throws(CheckpointError) {
    self.state = state
    let model = layout.model
    var small =
      ModelFolder.description(of: model, keeping: earlier, tokenizer: tokenizer) + layout.index
    if model.lora != nil {
      small =
        small.map { ("\(CheckpointLayout.modelName)/\(FileSystem.name(of: $0.name))", $0.content) }
        + AdapterFolder.description(
          of: model, base: CheckpointLayout.modelName, keeping: earlier, tokenizer: tokenizer)
    }
    let name = CheckpointFolder.name(state.step)
    files = try checkpointFiles { () throws(FileError) in
      try FileSystem.makeFolder(folder)
      try CheckpointFolder.removeUnfinished(in: folder)
      return try AtomicFolder(destination: folder + "/" + name)
    }
    ranges = RangeWriter(layout, in: files.path)
    try DiskSpace.check(
      bytes: layout.bytes + small.reduce(0) { $0 + $1.content.count }, for: folder + "/" + name)
    if model.lora != nil {
      try checkpointFiles { () throws(FileError) in
        try FileSystem.makeFolder("\(files.path)/\(CheckpointLayout.modelName)")
      }
    }
    for (name, content) in small { try write(content, as: name) }
    try ranges.writeHeaders()
    if !model.kept.isEmpty {
      guard let earlier else { preconditionFailure("nobody has the tensors that are kept") }
      try earlier.kept.forEachPiece { name, first, numbers throws(CheckpointError) in
        try ranges.write(kept: name, from: first, numbers)
      }
    }
  }

  /// Writes the numbers of a range of the index space; each is to be written once, in any order.
  package func write(
    _ quantity: TrainingState.Quantity, _ range: Range<Int>, _ numbers: UnsafePointer<Float>
  ) throws(CheckpointError) {
    try ranges.write(quantity, range, numbers)
  }

  /// Writes what the streams of tokens carry into the next step: `streams.safetensors`, with a tensor
  /// `streams.<stream>.<name>` each and the streams' `position`.
  ///
  /// - Parameters:
  ///   - streams: For each stream its tensors by name.
  ///   - position: Tokens of each stream that have been read.
  package func write(
    streams: [[String: (shape: [Int], numbers: [Float])]], position: Int
  ) throws(CheckpointError) {
    let tensors = streams.enumerated().flatMap { index, stream in
      stream.sorted { $0.key < $1.key }.map { ("streams.\(index).\($0.key)", $0.value) }
    }
    let header = SafetensorsHeader(
      metadata: ["format": "pt"],
      placing: [("position", .int64, [1])] + tensors.map { ($0.0, .float32, $0.1.shape) })
    // Elements of 8 bytes come first.
    var content = header.encoded
    withUnsafeBytes(of: Int64(position).littleEndian) { content.append(contentsOf: $0) }
    for (_, tensor) in tensors {
      tensor.numbers.withUnsafeBytes { content.append(contentsOf: $0) }
    }
    try write(content, as: Self.streamsName)
  }

  static let streamsName = "streams.safetensors"

  private func write(_ content: Data, as name: String) throws(CheckpointError) {
    let file = try checkpointFiles { () throws(FileError) in try HashingFile(name, in: files.path) }
    try content.withBytes { bytes throws(CheckpointError) in
      try checkpointFiles { () throws(FileError) in try file.write(bytes, at: 0) }
    }
    written += try checkpointFiles { () throws(FileError) in try file.finish() }
  }

  /// Completes the checkpoint.
  ///
  /// - Parameter others: What other ranks have written, and is on the disk.
  /// - Returns: The checkpoint.
  package func finish(with others: [WrittenRange] = []) throws(CheckpointError) -> Checkpoint {
    let manifest = CheckpointManifest(written + (try ranges.finish()) + others)
    let (content, _) = try state.encoded(manifest)
    try checkpointFiles { () throws(FileError) in
      try AtomicFile.write(content, to: "\(files.path)/\(TrainingState.fileName)")
      try files.commit()
    }
    return try Checkpoint(path: files.destination)
  }
}
