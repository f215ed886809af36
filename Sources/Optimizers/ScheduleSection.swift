import Configuration

/// The run file's `schedule` section: the learning rate over the steps.
package struct ScheduleSection: ConfigurationSection, Equatable {
  /// A course of the learning rate after the warmup.
  package enum Course: String, KeyChoice {
    /// Half a cosine from the peak down to the minimum at the last step.
    case cosine
    /// Warmup, stable, decay: the peak, then a straight line to the minimum over the last steps.
    case wsd
    /// The peak.
    case constant
  }

  package static let name = "schedule"
  package static let documentation = "The learning rate over the steps."

  @Key("kind", .course, "Course of the learning rate after the warmup.")
  package var course = Course.cosine

  @Key("warmup", .course, unit: "steps", "Steps of the linear warmup.")
  package var warmup = 20

  @Key("minimum", .course, from: 0, through: 1, "Learning rate at the end, as a share of its peak.")
  package var minimum = 0.1

  @Key("decay", .course, unit: "steps", "Steps of wsd's decay; 0 = a fifth of all steps.")
  package var decay = 0

  package init() {}

  /// Steps of wsd's decay in a run of so many steps.
  package func decaySteps(of steps: Int) -> Int {
    decay > 0 ? decay : steps / 5
  }
}
