/// A step whose update was left out on all ranks, because something of it is no finite number.
package struct SkippedStep: Sendable, Equatable {
  /// What is no finite number.
  package enum Cause: Sendable, Equatable {
    /// The loss, or a term of it, of some sequences of the batch at a rank.
    case loss(rank: Int, host: String, sequences: Range<Int>)
    /// The gradient of a tensor, of all of them the one that the backward pass came to first.
    case gradient(tensor: String)
    /// A sum whose parts are all finite.
    case sum
  }

  /// The step, from 1.
  package let step: Int
  /// What is no finite number.
  package let cause: Cause
  /// Sequences of the batch.
  package let batch: Int
  /// Skipped steps in a row, this one among them.
  package let inARow: Int

  package init(step: Int, cause: Cause, batch: Int, inARow: Int) {
    (self.step, self.cause, self.batch, self.inARow) = (step, cause, batch, inARow)
  }

  /// The sequences at fault, or all of the batch, as data give them out: the first sequence of the first step is 0.
  package var sequences: Range<Int> {
    let first = (step - 1) * batch
    guard case .loss(_, _, let rows) = cause else { return first..<first + batch }
    return first + rows.lowerBound..<first + rows.upperBound
  }

  /// What is wrong, and with which sequences.
  package var description: String {
    let what =
      switch cause {
      case .loss(let rank, let host, _): "the loss is no finite number on rank \(rank) (\(host))"
      case .gradient(let tensor): "the gradient of \(tensor) is no finite number"
      case .sum: "the sum of losses or of gradients is beyond finite numbers"
      }
    return
      "\(what), with the data's sequences \(sequences.lowerBound) to \(sequences.upperBound - 1)"
  }
}
