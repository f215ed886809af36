import Files
import Tensors

/// Writes the numbers of one rank to the files of a checkpoint, and hashes what it writes.
///
/// Several may write the same files at once, each other numbers; one of them writes the headers. It knows nothing but its own folder and
/// layout, so that it may run on a thread of its own.
package final class RangeWriter {
  private let folder: String
  private let layout: CheckpointLayout
  private var files: [String: HashingFile] = [:]

  /// - Parameter folder: Where the checkpoint is being written: `CheckpointWriter.folder`.
  package init(_ layout: CheckpointLayout, in folder: String) {
    (self.layout, self.folder) = (layout, folder)
  }

  /// Writes what stands before the numbers of each file.
  func writeHeaders() throws(CheckpointError) {
    for file in layout.files {
      try file.header.withBytes { bytes throws(CheckpointError) in
        try put(bytes, in: file.name, at: 0)
      }
    }
  }

  /// Writes the numbers of a range of the index space; each is to be written once, in any order.
  package func write(
    _ quantity: TrainingState.Quantity, _ range: Range<Int>, _ numbers: UnsafePointer<Float>
  ) throws(CheckpointError) {
    try layout.forEachPlace(of: quantity, range) { file, offset, part throws(CheckpointError) in
      try put(
        UnsafeRawBufferPointer(
          UnsafeBufferPointer(
            start: numbers + part.lowerBound - range.lowerBound, count: part.count)),
        in: file.name, at: offset)
    }
  }

  /// Writes numbers of a tensor that goes along with the model, from its number `first` on.
  func write(
    kept name: String, from first: Int, _ numbers: UnsafeBufferPointer<Float>
  ) throws(CheckpointError) {
    let (file, offset) = layout.place(ofKept: name, from: first)
    try put(UnsafeRawBufferPointer(numbers), in: file.name, at: offset)
  }

  /// Waits until all is on the disk.
  ///
  /// - Returns: What was written.
  package func finish() throws(CheckpointError) -> [WrittenRange] {
    var ranges: [WrittenRange] = []
    for (_, file) in files.sorted(by: { $0.key < $1.key }) {
      ranges += try checkpointFiles { () throws(FileError) in try file.finish() }
    }
    files = [:]
    return ranges
  }

  private func put(
    _ bytes: UnsafeRawBufferPointer, in name: String, at offset: Int
  ) throws(CheckpointError) {
    try checkpointFiles { () throws(FileError) in
      if files[name] == nil { files[name] = try HashingFile(name, in: folder) }
      try files[name]?.write(bytes, at: offset)
    }
  }
}
