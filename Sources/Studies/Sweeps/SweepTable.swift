import Observation
import Reporting

/// What the console shows of a sweep: a row a run.
struct SweepTable: Sendable {
  private let count: Int
  private let name: Int
  private let width: Int

  /// - Parameter width: Characters of a line.
  init(_ plan: SweepPlan, width: Int) {
    count = plan.runs.count
    self.width = width
    let longest = plan.runs.map(\.name.count).max() ?? 0
    // What stands beside the name.
    name = max(12, min(longest, width - 56))
  }

  /// The names of the columns.
  var heading: String {
    row(["", "run", "params", "steps", "held out", "tok/s", "state"])
  }

  /// The row of a run that has ended.
  func row(_ run: SweepRun, _ figures: RunFigures, _ state: SweepFolder.State) -> String {
    let steps =
      figures.stepsDone == run.steps ? "\(run.steps)" : "\(figures.stepsDone)/\(run.steps)"
    let time = state == .finished ? " \(Format.duration(figures.seconds))" : ""
    return row([
      "\(run.number)/\(count)", run.name, Format.count(run.parameters), steps,
      figures.last.map { Format.fixed($0.loss) } ?? "–",
      figures.tokensPerSecond.map { Format.count($0) } ?? "–", state.word + time,
    ])
  }

  private func row(_ cells: [String]) -> String {
    let number = 2 * "\(count)".count + 1
    return Format.right(cells[0], number) + "  "
      + Format.left(Format.shortened(cells[1], name), name)
      + Format.right(cells[2], 8) + Format.right(cells[3], 10) + Format.right(cells[4], 9)
      + Format.right(cells[5], 7) + "  " + cells[6]
  }

  /// The cells of a run that is only listed.
  ///
  /// - Parameter bytes: Memory of its largest rank.
  func listed(_ run: SweepRun, bytes: Int, _ state: SweepFolder.State) -> [String] {
    let mismatch = run.mismatch.map { String(format: "%+.1f%%", $0 * 100) }
    return [
      "\(run.number)", run.name, "\(run.configuration.model.dimension)",
      Format.count(run.parameters) + (mismatch.map { " (\($0))" } ?? ""), Format.count(run.tokens),
      Format.grouped(run.steps), Format.bytes(bytes), state.word,
    ]
  }

  /// The table of such rows.
  func listing(_ rows: [[String]]) -> [String] {
    let heading = ["", "run", "width", "params", "tokens", "steps", "a rank", "state"]
    return [""] + TextTable(heading, rows, left: [1, 7], shortening: 1).lines(width: width)
  }
}
