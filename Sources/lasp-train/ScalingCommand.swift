import ArgumentParser
import Configuration
import SequenceParallel
import Studies

/// `lasp-train scaling`.
struct ScalingCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scaling",
    abstract: "Measure training on more and more ranks, and write a report with plots.",
    usage: """
      lasp-train scaling [<run file>] [--ranks 1,2,4] [--tokens 512,2048] [--lengths 4096] \
      [--exchanges chain,gather,scan] [--repetitions <n>] [--steps <n>] [--warmup <n>] \
      [--launcher <command>] [--hostfile <file>] [--output <folder>] \(OverrideOptions.usage)
      """,
    discussion: """
      Every case is a job of its own, started by mpirun: for weak scaling the tokens that a rank \
      holds are the same on every number of ranks, for strong scaling the whole sequence is. \
      Writes scaling.csv, a row a job, and scaling.html, to be looked at in a browser.

      Inside a Slurm allocation mpirun starts ranks on its nodes by itself; where it cannot, give \
      --launcher "srun --mpi=pmix". Elsewhere --hostfile names the hosts.

      Without a run file: \
      \(modelDefaults.map { "--\($0)" }.joined(separator: " ")). Always, unless \
      given: \(defaults.map { "--\($0)" }.joined(separator: " ")).

      \(OverrideOptions.help)
      """)

  @Argument(
    help: ArgumentHelp(
      "YAML file with the model and its data; without one, a small model.",
      valueName: "run file"), completion: .file())
  var config: String?

  @Option(help: ArgumentHelp("Rank counts.", valueName: "list"))
  var ranks = "1,2,4"

  @Option(
    help: ArgumentHelp(
      "Weak scaling: tokens of a sequence that a rank holds, or none.", valueName: "list"))
  var tokens = "512,2048"

  @Option(
    help: ArgumentHelp(
      "Strong scaling: tokens of a sequence over all ranks, or none.", valueName: "list"))
  var lengths = "4096"

  @Option(help: ArgumentHelp("Values of parallel.exchange.", valueName: "list"))
  var exchanges = ExchangeKind.allCases.map(\.rawValue).joined(separator: ",")

  @Option(
    help: ArgumentHelp("Times that every case runs; all cases take turns.", valueName: "n"))
  var repetitions = 3

  @Option(help: ArgumentHelp("Steps of a job.", valueName: "n"))
  var steps = 8

  @Option(help: ArgumentHelp("Steps at the start that do not count.", valueName: "n"))
  var warmup = 2

  @OptionGroup var console: ConsoleOption
  @OptionGroup var job: JobOptions
  @OptionGroup var overrides: OverrideOptions

  /// What is set before the user does where no run file is given: a small model, one sequence.
  private static let modelDefaults = [
    "model.dimension=128", "model.depth=4", "model.heads=2", "model.vocabulary=256",
    "training.batch=1",
  ].map { Override($0) }

  /// What is set before the user does in any case.
  private static let defaults = [
    "threads=1", "evaluation.every=0", "checkpoint.every=0", "log.ranks=all",
  ]
  .map { Override($0) }

  func validate() throws { _ = try scaling }

  func run() throws { try scaling.run() }

  private var scaling: Scaling {
    get throws {
      let exchanges = try List(exchanges, "--exchanges", example: "chain,gather,scan") {
        ExchangeKind(rawValue: $0)
      }
      return Scaling(
        runFile: config,
        overrides: (config == nil ? Self.modelDefaults : []) + Self.defaults + overrides.overrides,
        ranks: try numbers(ranks, "--ranks", example: "1,2,4"),
        tokens: tokens == "none" ? [] : try numbers(tokens, "--tokens", example: "512,2048"),
        lengths: lengths == "none" ? [] : try numbers(lengths, "--lengths", example: "4096"),
        exchanges: exchanges.items, repetitions: repetitions, steps: steps, warmup: warmup,
        launcher: job.launcher, hostfile: job.hostfile, output: job.output, console: console.mode)
    }
  }

  private func numbers(_ text: String, _ option: String, example: String) throws -> [Int] {
    try List(text, option, example: example) { Int($0).flatMap { $0 > 0 ? $0 : nil } }.items
  }
}
