import Configuration
import Reporting

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

  @Key(
    "ranks", .course,
    "What log.jsonl holds of the ranks' figures of a step: all, or a summary whose size does not grow with them."
  )
  package var ranks = RankDetail.all

  @Key(
    "tensorboard", .course,
    "Whether TensorBoard's event files are written too, in the run's folder.")
  package var tensorboard = false

  package init() {}
}
