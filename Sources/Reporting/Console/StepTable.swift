import Foundation

/// The console's table of steps: its heading and one line a step, all columns at the same place.
struct StepTable: Sendable {
  private let steps: Int
  private let peak: Double?
  private let hasRecall: Bool
  private let hasReduction: Bool
  private let terms: [String]

  /// A table for a run.
  ///
  /// - Parameters:
  ///   - steps: Steps of the whole run.
  ///   - peak: What all threads could reach by matrix products alone, in GFLOP/s; nil if not known.
  ///   - hasRecall: Whether steps report answers of a generated task.
  ///   - hasReduction: Whether gradients are summed over ranks.
  ///   - terms: Names of what is added to the loss, each shown as what it adds.
  init(
    steps: Int, peak: Double?, hasRecall: Bool, hasReduction: Bool, terms: [String] = []
  ) {
    self.terms = terms
    self.hasReduction = hasReduction
    self.steps = steps
    self.peak = peak
    self.hasRecall = hasRecall
  }

  /// The names of the columns.
  var heading: String {
    row(columns.map(\.name))
  }

  /// The line of a step.
  ///
  /// - Parameters:
  ///   - report: The step; its loss, answers, gradient norm, learning rate and memory are shown.
  ///   - pace: The speed, over all steps since the last line.
  ///   - remaining: Seconds until the last step.
  func line(_ report: StepReport, pace: Pace, remaining: Double) -> String {
    let (outcome, sums) = (report.outcome, report.outcome.sums)
    var cells = ["\(outcome.step + 1)/\(steps)", Format.fixed(outcome.loss)]
    if hasRecall {
      cells += [Format.percent(sums.inside.accuracy), Format.percent(sums.crossing.accuracy)]
    }
    cells += terms.map { name in
      Format.fixed(sums.terms.first { $0.name == name }.map { $0.weight * sums.mean($0) } ?? .nan)
    }
    cells += [
      Format.digits(outcome.gradientNorm), String(format: "%.2e", outcome.learningRate),
      Format.count(pace.tokensPerSecond),
      pace.gigaflops < 1000 ? Format.digits(pace.gigaflops) : Format.count(pace.gigaflops),
      Format.percent(peak.map { pace.gigaflops / $0 }, decimals: 0),
      Format.percent(pace.waitShare, decimals: 0),
    ]
    if hasReduction { cells.append(Format.percent(pace.hiddenShare, decimals: 0)) }
    cells += [
      Format.bytes(report.ranks.map(\.peakMemoryBytes).max() ?? 0), Format.duration(remaining),
    ]
    return row(cells)
  }

  private var columns: [(name: String, width: Int)] {
    var columns = [("step", max(5, 2 * "\(steps)".count + 1)), ("loss", 8)]
    if hasRecall { columns += [("inside", 7), ("cross", 7)] }
    columns += terms.map { ($0, max(9, $0.count + 1)) }
    columns += [
      ("grad", 9), ("rate", 9), ("tok/s", 6), ("GFLOP/s", 8), ("peak", 5), ("wait", 5),
    ]
    if hasReduction { columns.append(("hid", 5)) }
    return columns + [("memory", 9), ("left", 8)]
  }

  private func row(_ cells: [String]) -> String {
    zip(cells, columns).enumerated().map { index, cell in
      // The space is part of the width, so that a cell that is too wide for once still stands apart.
      index == 0 ? Format.right(cell.0, cell.1.width) : " " + Format.right(cell.0, cell.1.width - 1)
    }.joined()
  }
}

/// The speed of some consecutive steps.
struct Pace: Sendable {
  private var tokens = 0
  private var operations = 0.0
  private var waiting = 0.0
  private var reducing = 0.0
  private var hidden = 0.0
  private(set) var seconds = 0.0

  /// Adds a step.
  mutating func add(_ report: StepReport) {
    tokens += report.tokens
    operations += report.operations
    waiting += report.waitShare * report.seconds
    seconds += report.seconds
    let reduction = report.ranks.reduce(0) { $0 + $1.transferSeconds }
    reducing += reduction
    hidden += (report.hiddenShare ?? 0) * reduction
  }

  /// Tokens a second over the whole world.
  var tokensPerSecond: Double { Double(tokens) / seconds }
  /// Operations a second over the whole world, in units of 10⁹.
  var gigaflops: Double { operations / seconds * 1e-9 }
  /// The ranks' mean share of the time spent waiting for states.
  var waitShare: Double { waiting / seconds }
  /// The share of the time of sums of gradients in which ranks did not wait for them.
  var hiddenShare: Double? { reducing > 0 ? hidden / reducing : nil }
}
