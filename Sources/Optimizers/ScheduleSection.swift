import Configuration

/// The run file's `schedule` section: the learning rate over the steps.
package struct ScheduleSection: ConfigurationSection, Equatable {
  /// A course of the learning rate after the warmup.
  package enum Course: String, Sendable, CaseIterable {
    /// Half a cosine from the peak down to the minimum at the last step.
    case cosine
    /// Warmup, stable, decay: the peak, then a straight line to the minimum over the last steps.
    case wsd
    /// The peak.
    case constant
  }

  /// The course after the warmup.
  package var course: Course
  /// Steps of the linear warmup from 0.
  package var warmup: Int
  /// The learning rate at the end, as a share of its peak.
  package var minimum: Double
  /// Steps of the decay of `wsd`; 0 for a fifth of all steps.
  package var decay: Int

  /// The keys of `schedule`.
  package static let schema = SectionSchema(
    "schedule", "The learning rate over the steps.",
    [
      .choice(
        "kind", Course.cosine.rawValue, of: Course.allCases.map(\.rawValue),
        "Course of the learning rate after the warmup."),
      .integer("warmup", 20, unit: "steps", "Steps of the linear warmup."),
      .number(
        "minimum", 0.1, from: 0, through: 1, "Learning rate at the end, as a share of its peak."),
      .integer("decay", 0, unit: "steps", "Steps of wsd's decay; 0 = a fifth of all steps."),
    ])

  /// Reads the section.
  package init(_ values: SectionValues) {
    guard let course = Course(rawValue: values.string("kind")) else {
      preconditionFailure("schedule.kind \(values.string("kind")) passed its schema")
    }
    self.course = course
    warmup = values.integer("warmup")
    minimum = values.number("minimum")
    decay = values.integer("decay")
  }

  /// Steps of wsd's decay in a run of so many steps.
  package func decaySteps(of steps: Int) -> Int {
    decay > 0 ? decay : steps / 5
  }
}
