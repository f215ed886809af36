import ArgumentParser
import Observation
import Training

/// `lasp-train report`.
struct ReportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract:
      "Write a page that shows runs: their curves, speed, waits, memory and configurations.",
    discussion: """
      The page is complete in itself: it can be sent, and opened without a network. Curves of several runs are laid \
      over one another, and the keys in which their run files differ are listed. A run that still goes on is shown as \
      far as it is; lasp-train watch follows it.
      """)

  @Argument(
    help: ArgumentHelp("Folders of runs.", valueName: "run"), completion: .directory)
  var runs: [String]

  @Option(
    help: ArgumentHelp(
      "File to write (default: report.html, in the run's folder where there is one run).",
      valueName: "file"), completion: .file())
  var output: String?

  func run() throws {
    print("report  \(try Report.write(runs: runs, output: output))")
  }
}

extension ObservationError: ErrorWithExitReason {
  package var exitReason: ExitReason {
    switch self {
    case .noLog, .noRuns, .noLaw: .data
    case .noKey, .needsToken, .address, .noServer: .configuration
    case .taken: .failure
    }
  }
}
