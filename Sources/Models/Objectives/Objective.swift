import Autodiff
import Tensors

/// What is minimised: what is done with a model's hidden states, beside the terms that its layers add.
package protocol Objective: Sendable {
  /// Runs inside the region of the head.
  ///
  /// - Parameters:
  ///   - hidden: The last hidden states, normalised, `[rows × length, D]`.
  ///   - head: What makes logits of them.
  ///   - targets: The tokens to predict; negative where there is no loss.
  ///   - logits: Receives `[rows × length, vocabulary]`, where somebody wants them.
  /// - Returns: The sum of the losses, from which the backward pass begins, and what the head saw.
  func callAsFunction(
    _ hidden: Variable, head: Head, targets: [Int32], tape: Tape,
    logits: UnsafeMutablePointer<Float>?
  ) throws -> (loss: Variable, result: HeadResult)
  /// The terms that it may add beside the loss.
  var lossTerms: [DeclaredTerm] { get }
  /// What layers learn from the attention that they stand in for; nil where the loss is the head's.
  ///
  /// Then the head does not run, and neither does the objective itself.
  var transfer: AttentionTransfer? { get }
}

extension Objective {
  /// Nothing.
  package var transfer: AttentionTransfer? { nil }
}

/// Next-token prediction: softmax cross-entropy, with a z-loss where one is wanted.
///
/// - Source: z-loss, `ζ (log Σ exp(logits))²`: Chowdhery et al., "PaLM" (arXiv 2204.02311), section 5.
package struct NextToken: Objective {
  /// ζ, the weight of the z-loss; 0 for none.
  package var zLoss: Double

  package init(zLoss: Double = 0) { self.zLoss = zLoss }

  package var lossTerms: [DeclaredTerm] {
    zLoss > 0 ? [DeclaredTerm("z_loss", weight: zLoss)] : []
  }

  package func callAsFunction(
    _ hidden: Variable, head: Head, targets: [Int32], tape: Tape,
    logits: UnsafeMutablePointer<Float>?
  ) throws -> (loss: Variable, result: HeadResult) {
    try self(hidden, head: head, targets: targets, soft: nil, tape: tape, logits: logits)
  }

  /// The same beside a teacher's distributions.
  func callAsFunction(
    _ hidden: Variable, head: Head, targets: [Int32], soft: SoftTargets?, tape: Tape,
    logits: UnsafeMutablePointer<Float>?
  ) throws -> (loss: Variable, result: HeadResult) {
    let (loss, result) = try tape.crossEntropy(
      hidden, head.weight, targets: targets, softCap: head.softCap, zWeight: zLoss, soft: soft,
      logits: logits)
    if zLoss > 0 {
      tape.note(LossTerm("z_loss", weight: zLoss, sum: result.squaredLogSums))
    }
    return (loss, result)
  }
}
