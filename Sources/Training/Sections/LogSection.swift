import Configuration

/// The run file's `log` section: where a run writes and how often.
package struct LogSection: ConfigurationSection, Equatable {
  /// Folder of this run's files; nil for `runs/<name>`.
  package var directory: String?
  /// Steps between lines on the console; the log file has every step.
  package var every: Int

  /// The keys of `log`.
  package static let schema = SectionSchema(
    "log", "Where a run writes, and how often.",
    [
      .string("directory", nil, "Folder of this run's files; null = runs/<name>."),
      .integer("every", 1, from: 1, unit: "steps", "Steps between lines on the console."),
    ])

  /// Reads the section.
  package init(_ values: SectionValues) {
    directory = values.optionalString("directory")
    every = values.integer("every")
  }
}
