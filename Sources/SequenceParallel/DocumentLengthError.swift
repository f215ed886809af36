import Kernels
import Tensors

/// A document is longer than a model can read.
package struct DocumentLengthError: Error, Equatable, CustomStringConvertible {
  /// Its tokens so far, and the most that there may be.
  package let tokens, most: Int
  /// The key of the run file that says how many there may be.
  package let key: String

  package init(tokens: Int, most: Int, key: String) {
    (self.tokens, self.most, self.key) = (tokens, most, key)
  }

  /// One sentence: what is wrong, and what to do.
  package var description: String {
    "a document of \(tokens) tokens or more is longer than the \(most) of \(key), beyond which the model's weights are "
      + "negative; read shorter documents or windows, or train with a larger \(key)"
  }
}

extension SequencePass {
  /// Makes sure that no document, of which this pass may be a part, is longer than so many tokens.
  ///
  /// What the layout shows, all ranks see. Where there is a part before or after, each row carries how many tokens
  /// its document has: one number, in a running sum.
  ///
  /// - Parameters:
  ///   - key: The key of the run file that says how many there may be.
  ///   - slot: The layer and a state of its own.
  /// - Throws: `DocumentLengthError`.
  package func check(documentsAtMost most: Int, key: String, slot: CarrySlot) throws {
    for starts in layout.documentStarts {
      let bounds = [0] + starts + [layout.total]
      for (start, end) in zip(bounds, bounds.dropFirst()) where end - start > most {
        throw DocumentLengthError(tokens: end - start, most: most, key: key)
      }
    }
    guard keepsRight || layout.start > 0 else { return }
    let workspace = context.workspace
    let ones = Tensor([layout.rows * layout.length, 1], pool: workspace.pool)
    workspace.compute(.normsAndGates) { ones.pointer.update(repeating: 1, count: ones.count) }
    let positions = try RunningSumRun(
      kernel: RunningSum(channels: 1), restarts: true, slot: slot, pass: self
    ).forward(ones)
    let last = workspace.known(assuming: 0) {
      (0..<positions.count).reduce(0) { max($0, Int(positions.pointer[$1])) }
    }
    if last > most { throw DocumentLengthError(tokens: last, most: most, key: key) }
  }
}
