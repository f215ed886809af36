import Configuration

/// The run file's `linearise` section: a Transformer made linear, and what of it is trained.
package struct LineariseSection: ConfigurationSection, Equatable {
  /// What is trained.
  package enum Stage: String, KeyChoice {
    /// New weights alone: layers learn to give what the attention gives that they stand in for.
    case transfer
    /// The next token, by all weights or those that `lora` and `optimizer.groups` leave.
    case finetune
  }

  package static let name = "linearise"
  package static let documentation =
    "A pretrained Transformer made linear, and what of it is trained."

  @Key(
    "method", .model, of: [none] + Linearisation.methods,
    "What is made of the Transformer in model.from; xatl takes the mixer of model.mixer.")
  package var method = none

  @Key(
    "stage", .course,
    "Whether layers learn from the attention they stand in for, or the model the text; transfer has optimizer.learning_rate 0.05 where none is given."
  )
  package var stage = Stage.finetune

  @Key(
    "stages", .course,
    "Stages that follow one another, instead of stage and frozen; training.steps is the sum of theirs."
  )
  package var stages: [LineariseStage] = []

  @Key("layers", .model, "Numbers of the layers whose attention is exchanged; empty = all.")
  package var layers: [Int] = []

  @Key("frozen", .course, "Whether weights that come from the Transformer stay as they are.")
  package var frozen = false

  @Key(
    "squares", .course, from: 0,
    "What the mean squared difference of a layer's outputs is multiplied by.")
  package var squares = 1000.0

  @Key(
    "cross_entropy", .course, from: 0,
    "What the mean cross-entropy of attention's weights is multiplied by."
  )
  package var crossEntropy = 0.0

  package init() {}

  /// Keys that say something of a method where there is none, or of stages that say it themselves.
  package var problems: [KeyProblem] {
    for (index, stage) in stages.enumerated() {
      if let problem = stage.problem {
        return [KeyProblem("stages", message: "item \(index + 1) \(problem)")]
      }
    }
    if !stages.isEmpty, let key = ["stage", "frozen"].first(where: { changes[$0] != nil }) {
      return [KeyProblem(key, message: "each of linearise.stages says it itself; remove it")]
    }
    if kinds.contains(.transfer), squares == 0, crossEntropy == 0 {
      return [
        KeyProblem(
          "squares", "cross_entropy",
          message: "both are 0, and nothing is learnt; give one a weight")
      ]
    }
    guard method == Self.none, changes["layers"] != nil else { return [] }
    return [
      KeyProblem("layers", message: "nothing is exchanged; give linearise.method, or remove it")
    ]
  }

  /// What is trained, stage by stage.
  package var kinds: [Stage] { stages.isEmpty ? [stage] : stages.map(\.stage) }

  /// The learning rate of transfer where none is given: new maps, which nothing depends on yet, take far more than a model does.
  package static let transferRate = 0.05

  /// What `method` is where nothing is made.
  static let none = "none"

  /// The mixer that the method implies; nil where it takes that of the model section, or where there is none.
  package var mixer: String? {
    [Self.none, MixerExchange.name].contains(method) ? nil : method
  }

  /// Whether the mixer of the model section is what attention is exchanged for.
  package var takesMixer: Bool { method == MixerExchange.name }

  /// What is made of the Transformer; nil where the model is what it is.
  package func linearisation(_ model: ModelSection) -> Linearisation? {
    method == Self.none ? nil : Linearisation(method, layers: layers, model)
  }

  /// What is minimised in a stage of transfer; nil in another.
  package var transfer: AttentionTransfer? {
    stage == .transfer ? AttentionTransfer(weight: squares, crossEntropy: crossEntropy) : nil
  }
}
