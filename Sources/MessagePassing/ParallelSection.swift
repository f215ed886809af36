import Configuration

/// The run file's `parallel` section: how the ranks divide the work.
public struct ParallelSection: ConfigurationSection, Equatable {
  /// Ranks that share a sequence; 0 for all that `data` leaves.
  public var sequence: Int
  /// Groups that hold different sequences; 0 for what `sequence` leaves.
  public var data: Int
  /// How states cross ranks.
  public var exchange: String
  /// How keys and values of attention to all tokens cross ranks.
  public var attention: String

  /// The keys of `parallel`.
  public static let schema = SectionSchema(
    "parallel", "How ranks divide the work: sequence × data = all ranks.",
    [
      .integer("sequence", 0, unit: "ranks", "Ranks that share a sequence; 0 = all that are left."),
      .integer(
        "data", 0, unit: "groups", "Groups with different sequences; 0 = what sequence leaves."),
      .choice(
        "exchange", "chain", of: ["chain", "gather", "scan", "auto"],
        "How states cross ranks; auto measures the network at the start and chooses."),
      .choice(
        "attention", "gather", of: ["gather", "ring"],
        "How keys and values of attention without a window cross ranks."),
    ])

  /// Reads the section.
  public init(_ values: SectionValues) {
    sequence = values.integer("sequence")
    data = values.integer("data")
    exchange = values.string("exchange")
    attention = values.string("attention")
  }

  /// The grid for a number of ranks.
  ///
  /// - Parameter ranks: Number of ranks in the world.
  /// - Throws: `MessagePassingError.grid`, with the equation that does not hold.
  public func grid(ranks: Int) throws(MessagePassingError) -> GridShape {
    try GridShape(ranks: ranks, sequence: sequence, data: data)
  }
}
