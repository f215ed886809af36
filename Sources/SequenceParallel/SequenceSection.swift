import Configuration

/// The run file's `sequence` section: how long the sequences are.
public struct SequenceSection: ConfigurationSection, Equatable {
  /// Tokens of a sequence, over all ranks that share it.
  public var length: Int

  /// The keys of `sequence`.
  public static let schema = SectionSchema(
    "sequence", "The sequences that ranks share.",
    [
      .integer(
        "length", 512, from: 2, unit: "tokens",
        "Length of a sequence, over all ranks that share it.")
    ])

  /// Reads the section.
  public init(_ values: SectionValues) {
    length = values.integer("length")
  }
}
