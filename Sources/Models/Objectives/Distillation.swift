import Autodiff
import Tensors

/// The next token, and beside it the distribution that a teacher gives of it.
///
/// Concretely: `L = next token + weight · mean_n τ² KL(softmax(u_n/τ) ‖ softmax(z_n/τ))` over the positions n with a target,
/// with the teacher's logits u and the student's z, which are formed in tiles side by side: no `[T, vocabulary]` array of either
/// ever exists.
///
/// - Source: Hinton et al., "Distilling the Knowledge in a Neural Network" (arXiv 1503.02531), section 2.
package struct Distillation: Objective {
  /// What is learnt of the tokens themselves.
  package let nextToken: NextToken
  /// What the divergence is multiplied by; with 0 it is told, and nothing is learnt of it.
  package let weight: Double
  /// τ.
  package let temperature: Double
  /// What the teacher has to say of the positions at hand.
  package var lesson: Lesson?

  /// The term's name in log and console.
  package static let termName = "distillation"

  package init(_ nextToken: NextToken, weight: Double, temperature: Double) {
    (self.nextToken, self.weight, self.temperature) = (nextToken, weight, temperature)
  }

  /// What a teacher saw of a shard.
  ///
  /// Unchecked: one rank's alone, as its weights are.
  package struct Lesson: @unchecked Sendable {
    let model: LanguageModel
    let store: any ParameterStore
    /// What products read of weights that never change; nil for those that are dropped with their regions.
    let forms: WeightForms?
    /// Its hidden states before the last norm, `[N, D]`.
    let hidden: Tensor

    /// - Parameter store: Where the teacher's weights lie.
    package init(
      _ model: LanguageModel, _ store: any ParameterStore, forms: WeightForms? = nil,
      hidden: Tensor
    ) {
      (self.model, self.store, self.forms, self.hidden) = (model, store, forms, hidden)
    }
  }

  package var lossTerms: [DeclaredTerm] {
    nextToken.lossTerms + [DeclaredTerm(Self.termName, weight: weight)]
  }

  package func callAsFunction(
    _ hidden: Variable, head: Head, targets: [Int32], tape: Tape,
    logits: UnsafeMutablePointer<Float>?
  ) throws -> (loss: Variable, result: HeadResult) {
    guard let lesson else { preconditionFailure("a teacher who has seen nothing") }
    let own = Tape(
      workspace: tape.workspace, parameters: lesson.store, recording: false, forms: lesson.forms)
    let (loss, result) = try lesson.model.withHead(of: lesson.hidden, tape: own) {
      states, teacher in
      let soft = SoftTargets(
        hidden: states, weight: teacher.weight, softCap: teacher.softCap, tape: own,
        temperature: temperature, factor: weight)
      return try nextToken(
        hidden, head: head, targets: targets, soft: soft, tape: tape, logits: logits)
    }
    tape.note(LossTerm(Self.termName, weight: weight, sum: result.divergence))
    return (loss, result)
  }
}
