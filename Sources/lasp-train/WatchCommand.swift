import ArgumentParser
import Foundation
import Observation
import Reporting

/// `lasp-train watch`.
struct WatchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "watch",
    abstract: "Follow runs by their logs, in the terminal or as a live page.",
    discussion: """
      A run may begin later, go on from a checkpoint, or have its log replaced. --serve makes a page of it that moves \
      with the run, and /metrics for Prometheus. It is a process of its own: the run does not know of it.

      Other machines reach only what is served at another address than this machine's own, such as 0.0.0.0:8080, and \
      then only with the secret of --token, as ?token=… or as a bearer's. Without encryption: prefer ssh -L 8080:localhost:8080.
      """)

  @Argument(
    help: ArgumentHelp("Folders of runs; in the terminal, one.", valueName: "run"),
    completion: .directory)
  var runs: [String]

  @Option(
    help: ArgumentHelp("Serve a page there, such as 127.0.0.1:8080.", valueName: "address"))
  var serve: String?

  @Option(
    help: ArgumentHelp(
      "Secret that visitors must give (or the variable LASP_WATCH_TOKEN, which no list of processes shows).",
      valueName: "text"))
  var token: String?

  @OptionGroup var console: ConsoleOption

  func validate() throws {
    if serve == nil, runs.count > 1 {
      throw ValidationError(
        "In the terminal one run is followed; --serve 127.0.0.1:8080 shows several.")
    }
    if serve == nil, token != nil { throw ValidationError("--token needs --serve ADDRESS.") }
  }

  func run() throws {
    let output = TerminalOutput.standard(console.mode)
    guard let serve else { return try Watch.follow(run: runs[0], output: output) }
    try Watch.serve(
      runs: runs, at: serve,
      token: token ?? ProcessInfo.processInfo.environment["LASP_WATCH_TOKEN"]
    ) { output.line("page  \($0)") }
  }
}
