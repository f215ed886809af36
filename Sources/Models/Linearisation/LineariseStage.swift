import Configuration

/// One of the stages of a run, which follow one another: an item of the run file's `linearise.stages`.
///
/// What it does not say is as in the rest of the run file. Its learning rate has a schedule of its own, over its own steps.
package struct LineariseStage: ConfigurationSection, Equatable {
  package static let name = "linearise.stages"
  package static let documentation = "Stages of a run, which follow one another."

  @Key("stage", .course, "What is trained, as linearise.stage.")
  package var stage = LineariseSection.Stage.finetune

  @Key("steps", .course, unit: "steps", "Its steps, at most.")
  package var steps = 0

  @Key(
    "learning_rate", .course, above: 0,
    "Learning rate after its warmup; null = optimizer.learning_rate, or in transfer 0.05.")
  package var learningRate: Double?

  @Key("warmup", .course, unit: "steps", "Steps of its warmup; null = schedule.warmup.")
  package var warmup: Int?

  @Key("frozen", .course, "Whether weights that come from the Transformer stay as they are.")
  package var frozen = false

  @Key(
    "distillation", .course, from: 0,
    "Weight of what is learnt of a teacher; null = distillation.weight.")
  package var distillation: Double?

  @Key(
    "until", .course, above: 0,
    "Ends it where the mean loss of a window is not above this; null = not.")
  package var until: Double?

  @Key(
    "plateau", .course, from: 0, below: 1,
    "Ends it where the mean loss of a window is not lower by this share than before; null = not.")
  package var plateau: Double?

  @Key("window", .course, from: 1, unit: "steps", "Steps of such a window.")
  package var window = 20

  package init() {}

  /// What is wrong with it by itself; nil for nothing.
  var problem: String? {
    if steps == 0 { return "has no steps; say how many it has at most, {steps: 100, …}" }
    if stage == .transfer, distillation != nil {
      return "learns from attention, and no distribution is formed; remove distillation"
    }
    let (hasRule, widths) = (until != nil || plateau != nil, plateau == nil ? 1 : 2)
    if !hasRule, changes["window"] != nil {
      return "has a window but nothing that ends it early; give until or plateau, or remove it"
    }
    if hasRule, window * widths >= steps {
      return
        "has \(steps) steps, in which \(widths == 2 ? "two windows" : "a window") of \(window) "
        + "can never end it early; give a shorter window"
    }
    return nil
  }

  /// How many of the last losses decide whether it ends.
  package var memory: Int {
    plateau != nil ? 2 * window : until != nil ? window : 0
  }
}
