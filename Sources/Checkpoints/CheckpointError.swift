import Files

/// What can be wrong with a file or folder of weights or training state.
///
/// A write that failed is one, too: `fileError` tells whether the system ran out of something.
package enum CheckpointError: Error, Equatable, CustomStringConvertible {
  /// The operating system refused an operation.
  case file(FileError)
  /// The content breaks the format's rules.
  case damaged(path: String, reason: String)
  /// The content is of a kind that this program cannot read.
  case unsupported(path: String, reason: String)
  /// The weights are whole, but not those of the model that the folder describes.
  case mismatch(path: String, reason: String)
  /// A weight is no finite number.
  case notFinite(path: String, name: String, value: Float)
  /// A tensor that was asked for is not there.
  case missingTensor(path: String, name: String)
  /// A tensor's elements cannot be read as what was asked for.
  case wrongElements(path: String, name: String, type: ElementType, wanted: String)
  /// A folder that is no checkpoint.
  case noCheckpoint(path: String)
  /// A folder of checkpoints of which none can be gone on from.
  case noneWhole(path: String, count: Int, reason: String)
  /// A disk without room for what is to be written, in bytes.
  case noRoom(path: String, needed: Int, free: Int)
  /// Weights in a file that is a program.
  case pickle(path: String)
  /// A folder without the file that it must have.
  case notAModelFolder(path: String, missing: String)
  /// An adapter's folder without a file that it must have.
  case notAnAdapter(path: String, missing: String)
  /// An adapter of another model.
  case foreignAdapter(path: String, reason: String)

  /// What the operating system refused, if that is what was wrong.
  package var fileError: FileError? { if case .file(let error) = self { error } else { nil } }

  /// Whether the system ran out of something, such as space on the disk.
  package var isExhaustion: Bool {
    if case .noRoom = self { true } else { fileError?.isExhaustion == true }
  }

  /// One sentence: what is wrong, where, and what to do.
  package var description: String {
    switch self {
    case .file(let error):
      error.description
    case .damaged(let path, let reason):
      "\(path) is damaged: \(reason); get the file again"
    case .unsupported(let path, let reason):
      "\(path) cannot be read: \(reason)"
    case .mismatch(let path, let reason):
      "the weights in \(path) do not fit its config.json: \(reason)"
    case .notFinite(let path, let name, let value):
      "\(path): tensor \(name) holds \(value), which no model computes with; use an earlier checkpoint"
    case .missingTensor(let path, let name):
      "\(path) has no tensor named \(name)"
    case .wrongElements(let path, let name, let type, let wanted):
      "\(path): tensor \(name) holds \(type.rawValue) elements, but \(wanted) are needed"
    case .noCheckpoint(let path):
      "\(path) is no checkpoint, as there is no state.json in it, nor the folder of a run that has one"
    case .noneWhole(let path, let count, let reason):
      "no checkpoint in \(path) is whole; of \(count), the latest: \(reason)"
    case .noRoom(let path, let needed, let free):
      "\(path) needs \(needed >> 20) MiB, but \(free >> 20) MiB are free there; free space or write to another disk"
    case .pickle(let path):
      "\(path) is a pickle, which may run any program when it is opened, so that it is not; "
        + Pickles.conversion(path)
    case .notAModelFolder(let path, let missing):
      "\(path) is no model folder: it has no \(missing)"
    case .notAnAdapter(let path, let missing):
      "\(path) is no adapter's folder: it has no \(missing)"
    case .foreignAdapter(let path, let reason):
      "the adapter in \(path) is not of this model: \(reason)"
    }
  }
}

/// Runs file operations, whose errors become those of a checkpoint.
func checkpointFiles<Result>(
  _ body: () throws(FileError) -> Result
) throws(CheckpointError) -> Result {
  do { return try body() } catch { throw .file(error) }
}
