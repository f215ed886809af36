import Configuration

/// The run file's `optimizer` section.
package struct OptimizerSection: OuterSection, Equatable {
  package static let name = "optimizer"
  package static let documentation = "How gradients become new weights."

  /// The sections of rules with keys of their own.
  package static let subsectionTypes: [any ConfigurationSection.Type] = [
    LionSection.self, MuonSection.self,
  ]

  /// The rules' own keys.
  package var subsections = Subsections()

  @Key(
    "name", .course,
    "Update rule; muon updates matrices inside blocks, and leaves the rest to AdamW.")
  package var rule = UpdateRuleName.adamw

  @Key("learning_rate", .course, above: 0, "Learning rate after the warmup, its peak.")
  package var learningRate = 2e-3

  @Key(
    "beta1", .course, from: 0, below: 1, "AdamW: decay of the first moment, the mean of gradients.")
  package var beta1 = 0.9

  @Key(
    "beta2", .course, from: 0, below: 1,
    "AdamW: decay of the second moment, the mean of their squares.")
  package var beta2 = 0.95

  @Key("epsilon", .course, above: 0, "AdamW: added to the root of the second moment.")
  package var epsilon = 1e-8

  @Key("weight_decay", .course, from: 0, "Decoupled weight decay, times the learning rate.")
  package var weightDecay = 0.01

  @Key("decay_norms", .course, "Whether norms and biases decay too.")
  package var decayNorms = false

  @Key("decay_embeddings", .course, "Whether embeddings decay too.")
  package var decayEmbeddings = false

  @Key("clip", .course, from: 0, "Greatest global norm of the gradient; 0 = no limit.")
  package var clip = 1.0

  @Key(
    "groups", .course,
    "Parameters by tensor name (* and ? stand for any text and letter); the first that fits.")
  package var groups: [ParameterGroup] = []

  package init() {}

  /// Keys of other rules than the one that is named, and groups without a pattern.
  package var problems: [KeyProblem] {
    if let index = groups.firstIndex(where: { $0.pattern.isEmpty }) {
      return [
        KeyProblem(
          "groups", message: "item \(index + 1) has no pattern; write {pattern: \"*embed*\", …}")
      ]
    }
    let others = subsections.changes.filter { $0.key != ownSection }.sorted { $0.key < $1.key }
      .flatMap { section, keys in keys.keys.sorted().map { "\(section).\($0)" } }
    let adamW = rule == .lion ? ["beta1", "beta2", "epsilon"].filter { changes[$0] != nil } : []
    return (adamW + others).map {
      KeyProblem($0, message: "the update rule \(rule.rawValue) does not have it; remove it")
    }
  }

  /// Names of the sections of other rules.
  package var otherRules: Set<String> {
    Set(Self.subsectionTypes.map { $0.name }.filter { $0 != ownSection })
  }

  private var ownSection: String { "\(Self.name).\(rule.rawValue)" }
}

/// The run file's `optimizer.lion` section.
package struct LionSection: ConfigurationSection, Equatable {
  package static let name = "optimizer.lion"
  package static let documentation = "Keys of the update rule lion."

  @Key(
    "beta1", .course, from: 0, below: 1, "How much of the momentum is in the direction of a step.")
  package var beta1 = 0.9

  @Key("beta2", .course, from: 0, below: 1, "How much of the momentum stays in a step.")
  package var beta2 = 0.99

  package init() {}
}

/// The run file's `optimizer.muon` section.
package struct MuonSection: ConfigurationSection, Equatable {
  package static let name = "optimizer.muon"
  package static let documentation = "Keys of the update rule muon, beside those of AdamW."

  @Key("momentum", .course, from: 0, below: 1, "How much of the momentum stays in a step.")
  package var momentum = 0.95

  package init() {}
}
