import Configuration

/// The run file's `distillation` section: a teacher, whose distributions are learnt beside the next token.
package struct DistillationSection: ConfigurationSection, Equatable {
  package static let name = "distillation"
  package static let documentation =
    "A teacher with the same vocabulary, whose distributions are learnt beside the next token."

  @Key(
    "from", .data,
    "Folder of the teacher; null = none, or model.from where linearise.method and other keys are given."
  )
  package var from: String?

  @Key(
    "weight", .course, from: 0,
    "What the mean of τ² KL(teacher ‖ student) is multiplied by; null = 1; 0 = it is told, not learnt."
  )
  package var weight: Double?

  @Key("temperature", .course, above: 0, "τ, by which the logits of both are divided; null = 1.")
  package var temperature: Double?

  package init() {}

  /// What is minimised, beside what is learnt of the tokens themselves.
  package func objective(_ nextToken: NextToken) -> Distillation {
    Distillation(nextToken, weight: weight ?? 1, temperature: temperature ?? 1)
  }
}
