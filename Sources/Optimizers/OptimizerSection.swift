import Configuration

/// The run file's `optimizer` section.
package struct OptimizerSection: ConfigurationSection, Equatable {
  package static let name = "optimizer"
  package static let documentation = "How gradients become new weights."

  @Key("name", of: ["adamw"], "Update rule.")
  package var rule = "adamw"

  @Key("learning_rate", above: 0, "Learning rate after the warmup, its peak.")
  package var learningRate = 2e-3

  @Key("beta1", from: 0, below: 1, "Decay of the first moment, the mean of gradients.")
  package var beta1 = 0.9

  @Key("beta2", from: 0, below: 1, "Decay of the second moment, the mean of their squares.")
  package var beta2 = 0.95

  @Key("epsilon", above: 0, "Added to the root of the second moment.")
  package var epsilon = 1e-8

  @Key("weight_decay", from: 0, "Decoupled weight decay, times the learning rate.")
  package var weightDecay = 0.01

  @Key("decay_norms", "Whether norms and biases decay too.")
  package var decayNorms = false

  @Key("decay_embeddings", "Whether embeddings decay too.")
  package var decayEmbeddings = false

  @Key("clip", from: 0, "Greatest global norm of the gradient; 0 = no limit.")
  package var clip = 1.0

  package init() {}
}
