import ArgumentParser
import Configuration
import Studies

/// `lasp-train sweep`.
struct SweepCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sweep",
    abstract: "Train many models that differ in some keys, each in a job of its own.",
    usage: """
      lasp-train sweep <sweep file> [--output <folder>] [--retry] [--overwrite] \
      [--launcher <command>] [--hostfile <file>] \(OverrideOptions.usage)
      lasp-train sweep <sweep file> --dry-run
      lasp-train sweep <sweep file> --only <number>
      lasp-train sweep <sweep file> --slurm > <script>
      """,
    discussion: """
      A sweep file says what all runs share, in what they differ, and by which rules:

      run: {data.path: FILE, model.depth: 4}      # or a run file's path
      grid: {model.mixer: [tnl, gla]}             # all ways of its lists; or list: sets of keys
      seeds: 3
      match_parameters: 2M                        # a width for each mixer
      tokens_per_parameter: 20                    # training.steps of each
      jobs: 2                                     # at once, each on ranks: 1

      Each run has a folder in runs/<name of the file>, whose sweep.json says how it stands. The same command goes on: what \
      is finished is not done again, what was interrupted goes on from its checkpoint, what failed is left until --retry. \
      Ctrl-C ends all runs with a checkpoint. Docs/Sweeps.md has all keys; lasp-train runs shows what came of them.

      \(OverrideOptions.help)
      """)

  @Argument(
    help: ArgumentHelp("YAML file with the runs.", valueName: "sweep file"), completion: .file())
  var file: String

  @Flag(help: "List the runs with their parameters, tokens and memory, and stop.")
  var dryRun = false

  @Option(help: ArgumentHelp("Do one run, by its number.", valueName: "number"))
  var only: Int?

  @Flag(help: "Print a script that does the runs as an array of Slurm.")
  var slurm = false

  @Flag(help: "Try runs again that failed.")
  var retry = false

  @Flag(help: "Do runs anew that are there with other keys, which is refused else.")
  var overwrite = false

  @OptionGroup var console: ConsoleOption
  @OptionGroup var job: JobOptions
  @OptionGroup var overrides: OverrideOptions

  func validate() throws {
    if dryRun && slurm || only != nil && (dryRun || slurm) {
      throw ValidationError("Give one of --dry-run, --only and --slurm.")
    }
  }

  func run() throws {
    var sweep = Sweep(file: file, overrides: overrides.overrides)
    (sweep.only, sweep.retries, sweep.overwrites) = (only, retry, overwrite)
    (sweep.launcher, sweep.hostfile, sweep.output) = (job.launcher, job.hostfile, job.output)
    sweep.console = console.mode
    if dryRun { try sweep.list() } else if slurm { try sweep.script() } else { try sweep.run() }
  }
}
