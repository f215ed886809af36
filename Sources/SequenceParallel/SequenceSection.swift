import Configuration

/// The run file's `sequence` section: how long the sequences are.
package struct SequenceSection: ConfigurationSection, Equatable {
  /// Tokens of a sequence, over all ranks that share it.
  package var length: Int
  /// Parts of a sequence that are processed one after another.
  package var segments: Int
  /// The most bytes a rank keeps of all segments' carries so that running a segment again sends nothing.
  package var carryBytes: Int

  /// The keys of `sequence`.
  package static let schema = SectionSchema(
    "sequence", "The sequences that ranks share.",
    [
      .integer(
        "length", 512, from: 2, unit: "tokens",
        "Length of a sequence, over all ranks that share it."),
      .integer(
        "segments", 1, from: 1,
        "Parts processed one after another, exactly: activations take the memory of one."),
      .integer(
        "carry_bytes", 1 << 30, from: 0, unit: "bytes",
        "Most that a rank keeps of what segments received; beyond it some are rebuilt."),
    ])

  /// Reads the section.
  package init(_ values: SectionValues) {
    length = values.integer("length")
    segments = values.integer("segments")
    carryBytes = values.integer("carry_bytes")
  }

  /// More segments than tokens.
  package var problems: [KeyProblem] {
    guard segments > length else { return [] }
    return [
      KeyProblem(
        "segments", "length",
        message: "\(segments) segments of \(length) tokens would be empty; choose at most \(length)"
      )
    ]
  }
}
