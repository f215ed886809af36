import ArgumentParser
import Configuration
import MessagePassing
import Optimizers
import Studies
import Training

/// `lasp-train parity`.
struct ParityCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "parity",
    abstract: "Train on many grids of ranks and shardings, and compare their losses.",
    usage: """
      lasp-train parity [--grids 1,2,2x2] [--shardings none,parameters] \
      [--optimizers adamw,muon] [--launcher <command>] \
      [--hostfile <file>] [--output <folder>] \(OverrideOptions.usage)
      """,
    discussion: """
      Trains the same small model as a job of its own on each grid with each sharding, for each \
      update rule, and prints how far its losses are from those of one rank without sharding, as a share of the loss. \
      More than 1e-6 in the first 10 steps or 1e-5 in all is marked with !, and ends with exit \
      code 1. (lion moves a weight by the whole learning rate by the sign of its gradient, of which \
      rounding decides where it is nearly 0: on other grids it parts by more.)

      By default: \(defaults.map { "--\($0)" }.joined(separator: " "))

      \(OverrideOptions.help)
      """)

  @Option(
    help: ArgumentHelp(
      "Grids: DATAxSEQUENCE, or the ranks that share a sequence.", valueName: "list"))
  var grids = "1,2,4,8,2x2,4x2"

  @Option(help: ArgumentHelp("Values of parallel.sharding.", valueName: "list"))
  var shardings = Sharding.allCases.map(\.rawValue).joined(separator: ",")

  @Option(help: ArgumentHelp("Values of optimizer.name.", valueName: "list"))
  var optimizers = [UpdateRuleName.adamw, .muon].map(\.rawValue).joined(separator: ",")

  @OptionGroup var job: JobOptions
  @OptionGroup var overrides: OverrideOptions

  /// What is set before the user does: a small model, 50 steps at a constant learning rate of 1e-3.
  private static let defaults = [
    "model.dimension=64", "model.depth=2", "model.heads=4", "sequence.length=256",
    "training.batch=8", "training.steps=50", "optimizer.learning_rate=0.001",
    "schedule.kind=constant", "schedule.warmup=0", "evaluation.every=0", "threads=1",
  ].map { Override($0) }

  func validate() throws { _ = try parity }

  func run() throws { try parity.run() }

  private var parity: Parity {
    get throws {
      let grids = try List(grids, "--grids", example: "1,2,4,2x2") { Parity.Grid($0) }
      let shardings = shardings.split(separator: ",").map(String.init)
      return Parity(
        rules: optimizers.split(separator: ",").map(String.init), shardings: shardings,
        grids: grids.items, overrides: Self.defaults + overrides.overrides,
        launcher: job.launcher, hostfile: job.hostfile, output: job.output)
    }
  }
}
