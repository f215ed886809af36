import Configuration
import Reporting
import SequenceParallel
import Training

/// `lasp-train scaling`: the same training on more and more ranks, as whole jobs.
///
/// Concretely: every case of the plan once, then every case again, and so on, so that a drift of the machine
/// meets all alike. After every job `scaling.csv` and `scaling.html` hold all that is known so far.
package struct Scaling: Sendable {
  /// Run file; nil for the built-in default.
  package var runFile: String?
  /// Keys of the run file that are set for all jobs.
  package var overrides: [Override]
  /// Rank counts.
  package var ranks: [Int]
  /// Tokens of a sequence that a rank holds, for weak scaling.
  package var tokens: [Int]
  /// Lengths of a sequence over all ranks, for strong scaling.
  package var lengths: [Int]
  /// How states cross ranks.
  package var exchanges: [ExchangeKind]
  /// Times that each case runs.
  package var repetitions: Int
  /// Steps of a job, and how many of them, the first ones, do not count.
  package var steps, warmup: Int
  /// The launcher with its options; nil for Open MPI's mpirun.
  package var launcher: String?
  /// File with a host a line.
  package var hostfile: String?
  /// Folder for all that is written; nil for one named by the time.
  package var output: String?
  /// How much is said meanwhile; nil for what suits where it ends.
  package var console: ConsoleMode?

  package init(
    runFile: String?, overrides: [Override], ranks: [Int], tokens: [Int], lengths: [Int],
    exchanges: [ExchangeKind], repetitions: Int, steps: Int, warmup: Int, launcher: String?,
    hostfile: String?, output: String?, console: ConsoleMode? = nil
  ) {
    self.console = console
    (self.runFile, self.overrides) = (runFile, overrides)
    (self.ranks, self.tokens, self.lengths) = (ranks, tokens, lengths)
    (self.exchanges, self.repetitions) = (exchanges, repetitions)
    (self.steps, self.warmup) = (steps, warmup)
    (self.launcher, self.hostfile, self.output) = (launcher, hostfile, output)
  }

  /// Runs all jobs, prints a row as each ends, and writes the report.
  ///
  /// - Throws: What is wrong with what was asked for, before anything runs; `ScalingError` where a job failed or the
  ///   measurement was interrupted, once what there is has been written.
  package func run() throws {
    let launcher = try MPILauncher(launcher: self.launcher, hostfile: hostfile)
    let plan = try ScalingPlan(self)
    let folder = try JobFolder(self.output, purpose: "scaling")
    let facts = MachineFacts(launcher)
    let output = TerminalOutput.standard(console)
    for line in banner(plan, facts, folder) { output.line(line) }
    var measurement = ScalingMeasurement(
      plan: plan, launcher: launcher, folder: folder, facts: facts, output: output)
    try measurement.run()
    for study in plan.studies {
      output.line("")
      for line in ScalingTable.summary(study, of: measurement.results) { output.line(line) }
    }
    if let line = ScalingTable.disturbed(measurement.results.records) { output.line("\n* \(line)") }
    output.line("\nfigures  \(folder.path)/scaling.csv\nreport   \(folder.path)/scaling.html")
    guard measurement.gaps.isEmpty else {
      throw ScalingError.incomplete(measurement.gaps.joined(separator: "; "))
    }
  }

  private func banner(
    _ plan: ScalingPlan, _ facts: MachineFacts, _ folder: JobFolder
  ) -> [String] {
    [
      "lasp-train \(Release.version): scaling",
      "  machine  \(facts.machine), \(facts.cores), \(facts.cpu)",
      "  model    \(plan.model)",
      "  jobs     \(plan.jobs) = \(Format.number(plan.cases.count, of: "case")) × "
        + "\(Format.number(repetitions, of: "repetition")), each of "
        + "\(Format.number(steps, of: "step")), the first \(warmup) not counted",
      "  folder   \(folder.path)", "",
    ]
  }
}

/// A measurement that cannot be made, or was not made in full.
enum ScalingError: ErrorWithExitReason, Equatable, CustomStringConvertible {
  /// What was asked for cannot be: what is wrong and what to do.
  case request(String)
  /// Jobs that failed, or an interruption.
  case incomplete(String)

  /// What is wrong and what to do.
  var description: String {
    switch self {
    case .request(let sentence): sentence
    case .incomplete(let gaps): "incomplete: \(gaps)"
    }
  }

  /// A mistake on the command line, or a failure.
  var exitReason: ExitReason {
    if case .request = self { .configuration } else { .failure }
  }
}
