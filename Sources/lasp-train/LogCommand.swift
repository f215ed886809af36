import ArgumentParser
import Observation
import Reporting

/// `lasp-train log`.
struct LogCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "log",
    abstract: "Make TensorBoard's event files of the logs of runs.",
    usage: "lasp-train log --tensorboard <run> ...",
    discussion: """
      For runs without log.tensorboard: the same files, in each run's folder, in the place of those that are there.
      """)

  @Flag(help: "Write event files.")
  var tensorboard = false

  @Argument(help: ArgumentHelp("Folders of runs.", valueName: "run"), completion: .directory)
  var runs: [String]

  func validate() throws {
    if !tensorboard { throw ValidationError("Say what the logs are made into: --tensorboard.") }
  }

  func run() throws {
    for run in runs {
      let (path, steps) = try BoardConversion.write(run: run)
      print("\(path): \(Format.number(steps, of: "step"))")
    }
  }
}
