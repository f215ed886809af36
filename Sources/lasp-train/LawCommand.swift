import ArgumentParser
import Observation
import Training

/// `lasp-train law`.
struct LawCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "law",
    abstract: "Fit scaling laws to finished runs, and predict by them.",
    usage: """
      lasp-train law <run> ... [--by <key>] [--predict <parameters>,<tokens>] ... [--budget <operations>] ... \
      [--resamples <n>] [--seed <n>] [--json] [--output <file>]

      lasp-train law runs/sweep --predict 1B,20B --budget 1e21 --output law.html
      """,
    discussion: """
      Reads of each run's log its parameters N, the tokens D that it was trained on and its held-out loss L at the end, and \
      fits L(N, D) = E + A / N^α + B / D^β to those that have the key of --by in common (Hoffmann et al., arXiv 2203.15556; \
      Shen et al., arXiv 2406.16690). Figures come with the interval in which 95 of 100 resamples of the runs have them. \
      Runs that have not finished, or have no evaluation after their last step, are left out, and it says so; so it does \
      where runs cannot carry a law, or a law cannot carry what is asked of it. Docs/Laws.md tells more.
      """)

  @Argument(
    help: ArgumentHelp("Folders of runs, or with runs below them.", valueName: "run"),
    completion: .directory)
  var runs: [String]

  @Option(
    help: ArgumentHelp("Key of the run file by whose values runs are told apart.", valueName: "key")
  )
  var by = "model.mixer"

  @Option(
    help: ArgumentHelp(
      "Tell the loss of so many parameters and tokens, such as 1B,20B.",
      valueName: "parameters,tokens"))
  var predict: [String] = []

  @Option(
    help: ArgumentHelp(
      "Tell the best model and training of so many operations, such as 1e21.",
      valueName: "operations"))
  var budget: [String] = []

  @Option(help: ArgumentHelp("Fits that intervals come from.", valueName: "n"))
  var resamples = 400

  @Option(help: ArgumentHelp("Seed of the resamples.", valueName: "n"))
  var seed: UInt64 = 0

  @Flag(help: "Print the result as JSON.")
  var json = false

  @Option(
    help: ArgumentHelp("Page to write, with the laws' curves.", valueName: "file"),
    completion: .file())
  var output: String?

  func validate() throws {
    guard (20...100_000).contains(resamples) else {
      throw ValidationError("--resamples \(resamples) is not from 20 to 100000.")
    }
    _ = try questions
  }

  func run() throws {
    let report = try LawReport(runs: runs, by: by, questions)
    if json { print(report.json.text) } else { for line in report.lines { print(line) } }
    guard let output else { return }
    try report.write(page: output)
    if !json { print("\npage  \(output)") }
  }

  private var questions: LawReport.Questions {
    get throws {
      LawReport.Questions(
        predictions: try predict.map { text in
          let numbers = text.split(separator: ",", omittingEmptySubsequences: false)
            .map { Quantity.count(String($0)) }
          guard numbers.count == 2, let n = numbers[0], let d = numbers[1], n >= 1, d >= 1 else {
            throw ValidationError(
              "--predict '\(text)' does not fit; write parameters and tokens such as 1B,20B.")
          }
          return (n, d)
        },
        budgets: try budget.map { text in
          guard let operations = Quantity.count(text), operations >= 1 else {
            throw ValidationError(
              "--budget '\(text)' is no number of operations; write such as 1e21.")
          }
          return operations
        }, resamples: resamples, seed: seed)
    }
  }
}
