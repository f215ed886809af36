import Configuration

/// The run file's `checkpoint` section: when a run saves what it needs to go on.
package struct CheckpointSection: ConfigurationSection, Equatable {
  package static let name = "checkpoint"
  package static let documentation = "When a run saves what it needs to go on."

  @Key("every", unit: "steps", "Steps between checkpoints; 0 = none.")
  package var every = 0

  @Key("keep", "Latest checkpoints that are kept; 0 = all.")
  package var keep = 2

  package init() {}
}
