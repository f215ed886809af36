import Configuration

/// The run file's `parallel` section: how the ranks divide the work.
public struct ParallelSection: ConfigurationSection, Equatable {
  /// Ranks that share a sequence; 0 for all that `data` leaves.
  public var sequence: Int
  /// Groups that hold different sequences; 0 for what `sequence` leaves.
  public var data: Int
  /// How states cross ranks.
  public var exchange: String

  /// The keys of `parallel`.
  public static let schema = SectionSchema(
    "parallel", "How ranks divide the work: sequence × data = all ranks.",
    [
      .integer("sequence", 0, unit: "ranks", "Ranks that share a sequence; 0 = all that are left."),
      .integer(
        "data", 0, unit: "groups", "Groups with different sequences; 0 = what sequence leaves."),
      .choice("exchange", "chain", of: ["chain"], "How states cross ranks."),
    ])

  /// Reads the section.
  public init(_ values: SectionValues) {
    sequence = values.integer("sequence")
    data = values.integer("data")
    exchange = values.string("exchange")
  }

  /// The grid for a number of ranks, or what does not fit.
  ///
  /// Concretely: `sequence · data = ranks`, where a 0 is solved for, and both 0 mean `data = 1`.
  ///
  /// - Parameter ranks: Number of ranks in the world.
  public func grid(ranks: Int) -> Result<(sequence: Int, data: Int), GridProblem> {
    let groups = data > 0 ? data : sequence > 0 ? ranks / sequence : 1
    let shared = sequence > 0 ? sequence : ranks / groups
    guard shared * groups == ranks else {
      return .failure(
        GridProblem(
          keyProblem: KeyProblem(
            "parallel.sequence", "parallel.data",
            message: "\(equation) is not \(ranks), the number of ranks; "
              + "choose numbers whose product is \(ranks), or start another number of ranks")))
    }
    return .success((shared, groups))
  }

  private var equation: String {
    switch (sequence, data) {
    case (_, 0): "parallel.sequence \(sequence) × a whole number of groups"
    case (0, _): "parallel.data \(data) × a whole number of ranks"
    default: "parallel.sequence \(sequence) × parallel.data \(data) = \(sequence * data)"
    }
  }
}

/// A grid that does not have as many places as there are ranks.
public struct GridProblem: Error {
  /// What to report at the run file's keys.
  public let keyProblem: KeyProblem
}
