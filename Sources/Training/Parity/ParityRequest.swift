import Configuration
import MessagePassing

/// What `lasp-train parity` was asked for.
public struct ParityRequest: Sendable {
  /// Ranks on the two axes, as they are written: `2x4` is 2 data groups of 4 sequence ranks, `4` one of 4.
  public struct Grid: Sendable, Equatable, CustomStringConvertible {
    /// Groups with different sequences.
    public let data: Int
    /// Ranks that share a sequence.
    public let sequence: Int

    /// Makes a grid.
    public init(data: Int = 1, sequence: Int) { (self.data, self.sequence) = (data, sequence) }

    /// Reads a grid; nil for what is none.
    public init?(_ text: String) {
      let parts = text.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
      let numbers = parts.compactMap { $0 }.filter { (1...4096).contains($0) }
      guard numbers.count == parts.count, (1...2).contains(parts.count) else { return nil }
      self.init(data: numbers.count == 2 ? numbers[0] : 1, sequence: numbers[numbers.count - 1])
    }

    /// Number of ranks.
    public var ranks: Int { data * sequence }
    /// `2×4`.
    public var description: String { "\(data)×\(sequence)" }
  }

  /// What is set before the user does: a small model, 50 steps at a constant learning rate of 1e-3.
  public static let defaults = [
    "model.dimension=64", "model.depth=2", "model.heads=4", "sequence.length=256",
    "training.batch=8", "training.steps=50", "optimizer.learning_rate=0.001",
    "schedule.kind=constant", "schedule.warmup=0", "evaluation.every=0", "threads=1",
  ].map { Override($0) }

  /// All values of `parallel.sharding`.
  public static let allShardings = Sharding.allCases.map(\.rawValue)

  /// Shardings to compare, and grids for each.
  public var shardings: [String]
  /// Grids to compare, for each sharding.
  public var grids: [Grid]
  /// The user's keys of the run file.
  public var overrides: [Override]
  /// The launcher with its options; nil for Open MPI's mpirun.
  public var launcher: String?
  /// File with a host a line.
  public var hostfile: String?
  /// Folder for the runs; nil for one named by the time.
  public var output: String?

  /// Makes a request.
  public init(
    shardings: [String], grids: [Grid], overrides: [Override] = [], launcher: String? = nil,
    hostfile: String? = nil, output: String? = nil
  ) {
    (self.shardings, self.grids, self.overrides) = (shardings, grids, overrides)
    (self.launcher, self.hostfile, self.output) = (launcher, hostfile, output)
  }
}
