import Configuration

/// The run file's `optimizer` section.
package struct OptimizerSection: ConfigurationSection, Equatable {
  /// The update rule.
  package var name: String
  /// Peak of the learning rate, reached after the warmup.
  package var learningRate: Double
  /// Decay of the first moment, the mean of gradients: β₁.
  package var beta1: Double
  /// Decay of the second moment, the mean of their squares: β₂.
  package var beta2: Double
  /// What is added to the root of the second moment, ε.
  package var epsilon: Double
  /// Decoupled weight decay: a step multiplies weights by `1 − learning rate · weight decay`.
  package var weightDecay: Double
  /// Whether norms' weights and biases decay too.
  package var decayNorms: Bool
  /// Whether embeddings decay too.
  package var decayEmbeddings: Bool
  /// Greatest global L2 norm of the gradient; 0 for no limit.
  package var clip: Double

  /// The keys of `optimizer`.
  package static let schema = SectionSchema(
    "optimizer", "How gradients become new weights.",
    [
      .choice("name", "adamw", of: ["adamw"], "Update rule."),
      .number("learning_rate", 2e-3, above: 0, "Learning rate after the warmup, its peak."),
      .number("beta1", 0.9, from: 0, below: 1, "Decay of the first moment, the mean of gradients."),
      .number(
        "beta2", 0.95, from: 0, below: 1, "Decay of the second moment, the mean of their squares."),
      .number("epsilon", 1e-8, above: 0, "Added to the root of the second moment."),
      .number("weight_decay", 0.01, from: 0, "Decoupled weight decay, times the learning rate."),
      .boolean("decay_norms", false, "Whether norms and biases decay too."),
      .boolean("decay_embeddings", false, "Whether embeddings decay too."),
      .number("clip", 1, from: 0, "Greatest global norm of the gradient; 0 = no limit."),
    ])

  /// Reads the section.
  package init(_ values: SectionValues) {
    name = values.string("name")
    learningRate = values.number("learning_rate")
    beta1 = values.number("beta1")
    beta2 = values.number("beta2")
    epsilon = values.number("epsilon")
    weightDecay = values.number("weight_decay")
    decayNorms = values.boolean("decay_norms")
    decayEmbeddings = values.boolean("decay_embeddings")
    clip = values.number("clip")
  }
}
