import ArgumentParser
import Training

/// `lasp-train parity`.
struct ParityCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "parity",
    abstract: "Train on many grids of ranks and shardings, and compare their losses.",
    usage: """
      lasp-train parity [--grids 1,2,2x2] [--shardings none,parameters] [--launcher <command>] \
      [--hostfile <file>] [--output <folder>] \(OverrideOptions.usage)
      """,
    discussion: """
      Trains the same small model as a job of its own on each grid with each sharding, and prints \
      how far its losses are from those of one rank without sharding, as a share of the loss. \
      More than 1e-6 in the first 10 steps or 1e-5 in all is marked with !, and ends with exit \
      code 1.

      By default: \(ParityRequest.defaults.map { "--\($0)" }.joined(separator: " "))

      \(OverrideOptions.help)
      """)

  @Option(
    help: ArgumentHelp(
      "Grids: DATAxSEQUENCE, or the ranks that share a sequence.", valueName: "list"))
  var grids = "1,2,4,8,2x2,4x2"

  @Option(help: ArgumentHelp("Values of parallel.sharding.", valueName: "list"))
  var shardings = ParityRequest.allShardings.joined(separator: ",")

  @OptionGroup var job: JobOptions
  @OptionGroup var overrides: OverrideOptions

  func validate() throws { _ = try request }

  func run() throws { try Parity.run(request) }

  private var request: ParityRequest {
    get throws {
      let grids = try List(grids, "--grids", example: "1,2,4,2x2") { ParityRequest.Grid($0) }
      let shardings = shardings.split(separator: ",").map(String.init)
      return ParityRequest(
        shardings: shardings, grids: grids.items, overrides: overrides.overrides,
        launcher: job.launcher, hostfile: job.hostfile, output: job.output)
    }
  }
}
