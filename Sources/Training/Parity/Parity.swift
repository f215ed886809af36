import Configuration
import Foundation

/// `lasp-train parity`: the same run on other grids and with other shardings of the weights, as real jobs, and
/// how far their losses part.
public enum Parity {
  /// Runs all jobs and prints a row as each ends.
  ///
  /// - Throws: `ConfigurationError` for a run that cannot be started; `ParityError` where losses differ by more
  ///   than is allowed, or a job failed, once all rows are printed.
  public static func run(_ request: ParityRequest) throws {
    let cases = try self.cases(request)
    let launcher = try MPILauncher(launcher: request.launcher, hostfile: request.hostfile)
    let folder = try JobFolder(request.output, purpose: "parity")
    let runner = JobRunner()
    let output = TerminalOutput.standard()
    let training = cases[0].configuration.training
    let length = Human.grouped(cases[0].configuration.sequence.length)
    output.line(
      "\(training.steps) steps of \(training.batch) × \(length) tokens, learning rate "
        + "\(Human.digits(cases[0].configuration.optimizer.learningRate)); runs in \(folder.path)\n"
    )
    output.line(ParityRow.heading)
    var reference: [Double] = []
    var (failed, parted) = (0, 0)
    for (index, parityCase) in cases.enumerated() {
      do {
        let log = try parityCase.job.run(launcher, runner, in: folder)
        let losses = log.steps.map(\.loss)
        if index == 0 { reference = losses }
        let row = ParityRow(parityCase, losses: losses, reference: reference)
        if !row.holds { parted += 1 }
        output.line(row.text)
      } catch let error as JobError where index > 0 && error != .interrupted {
        failed += 1
        output.line(ParityRow.names(parityCase) + "  failed: \(error)")
      }
    }
    guard failed + parted == 0 else { throw ParityError(parted: parted, failed: failed) }
    output.line("\nall \(cases.count) runs agree")
  }

  /// The reference first, then every sharding on every grid, each once and checked.
  static func cases(_ request: ParityRequest) throws -> [ParityCase] {
    let alone = ParityRequest.Grid(sequence: 1)
    let all = request.shardings.flatMap { sharding in request.grids.map { (sharding, $0) } }
    let others = all.filter { $0 != ParityCase.reference || $1 != alone }
    return try ([(ParityCase.reference, alone)] + others).map {
      try ParityCase(sharding: $0, grid: $1, request)
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
        ? "\(Human.number(parted, of: "run")) differ by more than \(ParityRow.limitsText)" : nil,
      failed > 0 ? "\(Human.number(failed, of: "run")) failed" : nil,
    ]
    return sentences.compactMap { $0 }.joined(separator: "; ")
  }
}
