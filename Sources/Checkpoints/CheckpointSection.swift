import Configuration

/// The run file's `checkpoint` section: when a run saves what it needs to go on.
package struct CheckpointSection: ConfigurationSection, Equatable {
  /// Steps between checkpoints; 0 for none.
  package var every: Int
  /// Checkpoints that are kept, the latest; 0 for all.
  package var keep: Int

  /// The keys of `checkpoint`.
  package static let schema = SectionSchema(
    "checkpoint", "When a run saves what it needs to go on.",
    [
      .integer("every", 0, unit: "steps", "Steps between checkpoints; 0 = none."),
      .integer("keep", 2, "Latest checkpoints that are kept; 0 = all."),
    ])

  /// Reads the section.
  package init(_ values: SectionValues) {
    every = values.integer("every")
    keep = values.integer("keep")
  }
}
