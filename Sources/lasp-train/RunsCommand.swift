import ArgumentParser
import Foundation
import Observation
import Reporting

/// `lasp-train runs`.
struct RunsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "runs",
    abstract: "List runs, tell in what they differ, or compare groups of them.",
    subcommands: [List.self, Diff.self, Compare.self])

  /// `lasp-train runs list`.
  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list",
      abstract: "List runs with their sizes, losses and speeds, and how they stand.",
      discussion: """
        Reads the logs of all runs in and below the folders, of those that go on, too. Losses are held-out ones, in nats: \
        the last and the best.
        """)

    @Argument(
      help: ArgumentHelp("Folders of runs, or with runs below them.", valueName: "folder"),
      completion: .directory)
    var folders: [String] = ["runs"]

    @Flag(help: "Print a list of JSON objects, a run each.")
    var json = false

    func run() throws {
      let table = RunTable(try RunFinder.find(folders))
      if json { print(table.json.text) } else { show(table.lines) }
    }
  }

  /// `lasp-train runs diff`.
  struct Diff: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "diff",
      abstract: "Print the keys in which runs differ, and their figures side by side.",
      discussion: "Where a run writes and how it is started are left out.")

    @Argument(help: ArgumentHelp("Folders of runs.", valueName: "run"), completion: .directory)
    var runs: [String]

    @Flag(help: "Print a JSON object.")
    var json = false

    func validate() throws {
      if runs.count < 2 { throw ValidationError("Give the folders of two runs, or more.") }
    }

    func run() throws {
      let difference = RunDifference(try runs.map { try LogFollower.read(run: $0) })
      if json { print(difference.json.text) } else { show(difference.lines) }
    }
  }

  /// `lasp-train runs compare`.
  struct Compare: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "compare",
      abstract: "Compare groups of runs: means and standard deviations over their seeds.",
      usage: """
        lasp-train runs compare <folder> ... [--by <keys>] [--json] [--output <file>]

        lasp-train runs compare runs/mixers --by model.mixer --output mixers.html
        """,
      discussion: """
        Runs with the same values of the keys are a group. What is compared is the last evaluation of each, in nats and \
        bits a byte or perplexity, and the speed, the first step left out. A deviation is that of the sample (n − 1). Runs \
        that go on or failed are compared as far as they are, and that is said.
        """)

    @Argument(
      help: ArgumentHelp("Folders of runs, or with runs below them.", valueName: "folder"),
      completion: .directory)
    var folders: [String]

    @Option(
      help: ArgumentHelp(
        "Keys of the run file that make the groups, such as model.mixer,model.depth (default: those that tell the runs apart, but seeds).",
        valueName: "keys"))
    var by: String?

    @Flag(help: "Print a JSON object.")
    var json = false

    @Option(
      help: ArgumentHelp("Write a page with plots, complete in itself.", valueName: "file"),
      completion: .file())
    var output: String?

    func run() throws {
      let keys = by.map {
        $0.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
      }
      let comparison = try RunComparison(try RunFinder.find(folders), by: keys)
      if json { print(comparison.json.text) } else { show(comparison.lines) }
      guard let output else { return }
      try ComparisonPage(comparison, title: folders.joined(separator: ", ")).write(to: output)
      TerminalOutput.standard().notice("page  \(output)")
    }
  }
}

extension ParsableCommand {
  /// Prints lines that are as wide as the terminal.
  fileprivate func show(_ lines: (Int) -> [String]) {
    let output = TerminalOutput.standard()
    for line in lines(output.width) { output.line(line) }
  }
}
