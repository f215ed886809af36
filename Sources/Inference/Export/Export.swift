import Autodiff
import Checkpoints
import Models
import Reporting
import Tensors

/// `lasp-train export`: writes a model anew, where it has an adapter with that in its weights.
package struct Export {
  private let folder: ModelFolder

  /// Opens a model.
  ///
  /// - Parameters:
  ///   - adapter: The folder of an adapter of the model, or nil.
  ///   - merges: Whether the adapter is added to the weights.
  /// A checkpoint is compared with what was written first.
  ///
  /// - Throws: `CheckpointError`; `ExportError` where there is an adapter that is not to be merged, or none to merge.
  package init(modelFolder: String, adapter: String? = nil, merges: Bool) throws {
    if Checkpoint.isOne(modelFolder) { try Checkpoint(path: modelFolder).verify() }
    folder = try ModelFolder(path: modelFolder, adapter: adapter)
    Notices.print(folder.notices)
    guard merges == (folder.adapter != nil) else {
      throw merges ? ExportError.nothingToMerge(modelFolder) : ExportError.unmerged(modelFolder)
    }
  }

  /// Writes the model's folder, which appears when it is complete.
  ///
  /// - Parameter format: How weights are stored.
  /// - Returns: How many weights have adapters merged.
  package func write(_ output: String, as format: WeightFormat = .fp32) throws -> Int {
    let model = folder.model
    let store = WholeParameters(table: model.table, gradients: false, pool: BufferPool())
    try folder.read(into: store)
    let merged = store.mergeAdapters()
    try ModelFolder.write(model, to: output, keeping: folder.origin(), as: format) {
      try $0(0..<model.table.count, store.values.pointer)
    }
    return merged
  }
}

/// What cannot be exported.
package enum ExportError: Error, Equatable, CustomStringConvertible {
  /// A model without an adapter that is to be merged.
  case nothingToMerge(String)
  /// An adapter that is not to be merged.
  case unmerged(String)

  /// What is wrong, and what to do.
  package var description: String {
    switch self {
    case .nothingToMerge(let path): "\(path) has no adapter to merge; name one by --adapter"
    case .unmerged(let path):
      "\(path) has an adapter, which a model's folder cannot hold; merge it by --merge"
    }
  }
}
