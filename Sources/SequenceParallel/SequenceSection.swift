import Configuration

/// The run file's `sequence` section: how long the sequences are.
package struct SequenceSection: ConfigurationSection, Equatable {
  package static let name = "sequence"
  package static let documentation = "The sequences that ranks share."

  @Key(
    "length", .data, from: 2, unit: "tokens", "Length of a sequence, over all ranks that share it.")
  package var length = 512

  @Key(
    "segments", .layout, from: 1,
    "Parts processed one after another, exactly: activations take the memory of one.")
  package var segments = 1

  @Key(
    "carry_bytes", .layout, unit: "bytes",
    "Most that a rank keeps of what segments received; beyond it some are rebuilt.")
  package var carryBytes = 1 << 30

  package init() {}

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
