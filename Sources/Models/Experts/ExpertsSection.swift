import Configuration
import Kernels

extension RoutingRule.Score: KeyChoice {}

/// What the layers along channels are.
package enum ChannelKind: String, KeyChoice {
  /// One gated mixer for all tokens.
  case glu
  /// Experts, of which each token takes some.
  case experts
}

/// The run file's `model.experts` section: mixtures of experts in the place of channel mixers.
package struct ExpertsSection: ConfigurationSection {
  package static let name = "model.experts"
  package static let documentation =
    "Experts, where model.channels is experts or the mixer's own layers have some."

  @Key("count", .model, from: 1, "How many experts a layer has.")
  package var count = 8

  @Key("active", .model, from: 1, "How many experts each token takes.")
  package var active = 2

  @Key("width", .model, from: 0, "Inner width of an expert; 0 = that of model.glu.")
  package var width = 0

  @Key(
    "shared_width", .model, from: 0,
    "Inner width of a channel mixer that all tokens take beside; 0 = none.")
  package var sharedWidth = 0

  @Key("shared_gate", .model, "Whether what all tokens take has a gate of its own.")
  package var sharedGate = false

  @Key("score", .model, "What becomes of the router's logits.")
  package var score = RoutingRule.Score.softmax

  @Key("renormalize", .model, "Whether the weights of a token's experts are divided by their sum.")
  package var renormalize = true

  @Key("balance", .course, from: 0, "Weight of the loss for equal use of the experts.")
  package var balance = 0.01

  @Key("z_loss", .course, from: 0, "Weight of the router's z-loss, (log Σ exp(logits))².")
  package var zLoss = 0.0

  @Key(
    "bias_update", .model, from: 0,
    "How far a bias of each expert's score, for the choice alone, moves after a step towards equal use; 0 = no bias."
  )
  package var biasUpdate = 0.0

  @Key(
    "capacity", .course, from: 0,
    "The most tokens of a sequence that an expert takes in training, as a multiple, at least 1, of the mean; 0 = all that choose it."
  )
  package var capacity = 0.0

  package init() {}
}
