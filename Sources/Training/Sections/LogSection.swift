import Configuration

/// The run file's `log` section: where a run writes and how often.
package struct LogSection: ConfigurationSection, Equatable {
  package static let name = "log"
  package static let documentation = "Where a run writes, and how often."

  @Key("directory", .layout, "Folder of this run's files; null = runs/<name>.")
  package var directory: String?

  @Key(
    "every", .course, from: 0, unit: "steps",
    "Steps between lines on the console; 0 = now and then, by time.")
  package var every = 0

  package init() {}
}
