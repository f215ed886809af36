import Configuration
import MessagePassing
import Training

/// One update rule with one sharding on one grid.
struct ParityCase: Sendable {
  /// The sharding that all others of the same rule are compared with.
  static let reference = Sharding.none.rawValue

  /// How gradients become new weights.
  let rule: String
  /// How weights are sharded.
  let sharding: String
  /// The grid of ranks.
  let grid: Parity.Grid
  /// The run, checked.
  let configuration: RunConfiguration
  /// The job that trains it.
  let job: RankJob

  /// Whether others of its rule are compared with it: one rank without sharding.
  var isReference: Bool { sharding == Self.reference && grid.ranks == 1 }

  /// Makes a case.
  ///
  /// - Throws: `ConfigurationError` for a key that is wrong, or a batch that the grid cannot share.
  init(rule: String, sharding: String, grid: Parity.Grid, overrides: [Override]) throws {
    (self.rule, self.sharding) = (rule, sharding)
    self.grid = grid
    let own = [
      "optimizer.name=\(rule)", "parallel.sharding=\(sharding)", "parallel.data=\(grid.data)",
      "parallel.sequence=\(grid.sequence)", "log.every=1000",
    ]
    let overrides = overrides + own.map { Override($0) }
    configuration = try RunConfiguration.load(overrides: overrides)
    _ = try GridPlace(configuration, rank: 0, ranks: grid.ranks)
    job = RankJob(
      name: "\(rule)-\(sharding)-\(grid.data)x\(grid.sequence)", ranks: grid.ranks, runFile: nil,
      overrides: overrides)
  }
}
