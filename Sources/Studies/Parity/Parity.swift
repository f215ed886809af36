import Configuration
import Reporting
import Training

/// `lasp-train parity`: the same run on other grids and with other shardings of the weights, for each update rule, as real jobs, and
/// how far their losses part.
package struct Parity: Sendable {
  /// Ranks on the two axes, as they are written: `2x4` is 2 data groups of 4 sequence ranks, `4` one of 4.
  package struct Grid: Sendable, Equatable, CustomStringConvertible {
    /// Groups with different sequences.
    package let data: Int
    /// Ranks that share a sequence.
    package let sequence: Int

    package init(data: Int = 1, sequence: Int) { (self.data, self.sequence) = (data, sequence) }

    /// Reads a grid; nil for what is none.
    package init?(_ text: String) {
      let parts = text.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
      let numbers = parts.compactMap { $0 }.filter { (1...4096).contains($0) }
      guard numbers.count == parts.count, (1...2).contains(parts.count) else { return nil }
      self.init(data: numbers.count == 2 ? numbers[0] : 1, sequence: numbers[numbers.count - 1])
    }

    /// Number of ranks.
    package var ranks: Int { data * sequence }
    /// `2×4`.
    package var description: String { "\(data)×\(sequence)" }
  }

  /// Update rules, each compared with itself.
  package var rules: [String]
  /// Shardings to compare, and grids for each.
  package var shardings: [String]
  /// Grids to compare, for each sharding.
  package var grids: [Grid]
  /// Keys of the run file that are set for all jobs.
  package var overrides: [Override]
  /// The launcher with its options; nil for Open MPI's mpirun.
  package var launcher: String?
  /// File with a host a line.
  package var hostfile: String?
  /// Folder for the runs; nil for one named by the time.
  package var output: String?

  package init(
    rules: [String], shardings: [String], grids: [Grid], overrides: [Override], launcher: String?,
    hostfile: String?, output: String?
  ) {
    (self.rules, self.shardings, self.grids) = (rules, shardings, grids)
    self.overrides = overrides
    (self.launcher, self.hostfile, self.output) = (launcher, hostfile, output)
  }

  /// Runs all jobs and prints a row as each ends.
  ///
  /// - Throws: `ConfigurationError` for a run that cannot be started; `ParityError` where losses differ by more
  ///   than is allowed, or a job failed, once all rows are printed.
  package func run() throws {
    let cases = try self.cases
    let launcher = try MPILauncher(launcher: self.launcher, hostfile: hostfile)
    let folder = try JobFolder(self.output, purpose: "parity")
    let runner = JobRunner()
    let output = TerminalOutput.standard()
    let training = cases[0].configuration.training
    let length = Format.grouped(cases[0].configuration.sequence.length)
    output.line(
      "\(training.steps) steps of \(training.batch) × \(length) tokens, learning rate "
        + "\(Format.digits(cases[0].configuration.optimizer.learningRate)); runs in \(folder.path)\n"
    )
    output.line(ParityRow.heading)
    var reference: [Double] = []
    var (failed, parted) = (0, 0)
    for parityCase in cases {
      do {
        let log = try parityCase.job.run(launcher, runner, in: folder)
        let losses = log.steps.map(\.loss)
        if parityCase.isReference { reference = losses }
        let row = ParityRow(parityCase, losses: losses, reference: reference)
        if !row.holds { parted += 1 }
        output.line(row.text)
      } catch let error as JobError where !parityCase.isReference && error != .interrupted {
        failed += 1
        output.line(ParityRow.names(parityCase) + "  failed: \(error)")
      }
    }
    guard failed + parted == 0 else { throw ParityError(parted: parted, failed: failed) }
    output.line("\nall \(cases.count) runs agree")
  }

  /// For each rule the reference first, then every sharding on every grid, each once and checked.
  var cases: [ParityCase] {
    get throws {
      let alone = Grid(sequence: 1)
      let all = shardings.flatMap { sharding in grids.map { (sharding, $0) } }
      let others = all.filter { $0 != ParityCase.reference || $1 != alone }
      return try rules.flatMap { rule in
        try ([(ParityCase.reference, alone)] + others).map {
          try ParityCase(rule: rule, sharding: $0, grid: $1, overrides: overrides)
        }
      }
    }
  }
}

/// What is wrong once all rows are printed.
struct ParityError: Error, CustomStringConvertible {
  /// Runs whose losses differ by too much, and runs that failed.
  let parted, failed: Int

  /// How many runs, and of what kind.
  var description: String {
    let sentences = [
      parted > 0
        ? "\(Format.number(parted, of: "run")) differ by more than \(ParityRow.limitsText)" : nil,
      failed > 0 ? "\(Format.number(failed, of: "run")) failed" : nil,
    ]
    return sentences.compactMap { $0 }.joined(separator: "; ")
  }
}
