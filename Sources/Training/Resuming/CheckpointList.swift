import Checkpoints
import Reporting

/// `lasp-train checkpoints`: what a run has to go on from, and whether it is whole.
package struct CheckpointList {
  private let items: [(item: CheckpointFolder.Item, isSetAside: Bool)]

  /// Finds the checkpoints of a run, or the one that is named.
  ///
  /// - Throws: `CheckpointError.noCheckpoint` where there is none.
  package init(_ path: String) throws(CheckpointError) {
    if Checkpoint.isOne(path) {
      let checkpoint = try Checkpoint(path: path)
      items = [(CheckpointFolder.Item(checkpoint), false)]
      return
    }
    let folder = RunFolder(path: path).checkpoints
    items = try folder.items().map { ($0, false) } + folder.setAside().map { ($0, true) }
    guard !items.isEmpty else { throw .noCheckpoint(path: path) }
  }

  /// A table of them, in the order in which they were written; those that were set aside come last.
  ///
  /// Files are not read for it: one is whole here whose files have the sizes with which they were written.
  package var lines: [String] {
    let heading =
      Format.right("step", 9) + Format.right("loss", 10) + Format.right("held out", 10)
      + Format.right("size", 12) + "  " + Format.left("written", 22) + "state"
    return [heading]
      + items.map { item, isSetAside in
        let aside = isSetAside ? ", set aside" : ""
        func row(_ state: TrainingState?, _ bytes: Int, _ what: String) -> String {
          func loss(_ value: Double?) -> String {
            Format.right(value.map { Format.fixed($0) } ?? "–", 10)
          }
          return Format.right(Format.grouped(item.step), 9) + loss(state?.loss)
            + loss(state?.evaluationLoss) + Format.right(bytes > 0 ? Format.bytes(bytes) : "–", 12)
            + "  "
            + Format.left(state.map { TrainingState.text(ofTime: $0.time) } ?? "–", 22) + what
            + aside
        }
        switch item.checkpoint {
        case .failure(let error): return row(nil, 0, "\(error)")
        case .success(let checkpoint):
          guard !checkpoint.isFormer else {
            return row(checkpoint.state, 0, "of an earlier release, which wrote no hashes")
          }
          do throws(CheckpointError) {
            try checkpoint.checkSizes()
            return row(checkpoint.state, checkpoint.bytes, "whole")
          } catch {
            return row(checkpoint.state, checkpoint.bytes, "\(error)")
          }
        }
      }
  }

  /// Reads all files and compares them with what was written.
  ///
  /// - Parameter tell: Called with a line for each checkpoint.
  /// - Throws: What is wrong with the first that is not whole, when all have been told.
  package func verify(_ tell: (String) -> Void) throws(CheckpointError) {
    var first: CheckpointError?
    for (item, _) in items {
      do throws(CheckpointError) {
        let checkpoint = try item.checkpoint.get()
        try checkpoint.verify()
        tell(
          checkpoint.isFormer
            ? "\(item.path): of an earlier release, which wrote no hashes"
            : "\(item.path): whole, \(Format.bytes(checkpoint.bytes))")
      } catch {
        if items.count > 1 { tell("\(error)") }
        first = first ?? error
      }
    }
    if let first { throw first }
  }
}
