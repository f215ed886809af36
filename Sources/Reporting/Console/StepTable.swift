import Foundation

/// The console's table of steps: its heading and one line a step, all columns at the same place.
///
/// As many columns as a line has room for, the most needed first.
struct StepTable: Sendable {
  private let steps: Int
  private let peak: Double?
  private let terms: [String]
  private let columns: [Column]

  private enum Column: Equatable {
    case step, loss, inside, cross, gradient, rate, speed, operations, peak, wait, overlap, memory
    case left
    case term(String)

    /// What it shows, where its name does not tell.
    var legend: String? {
      switch self {
      case .inside: "inside: right answers where the pair lies in the question's own shard"
      case .cross: "cross: where it lies in an earlier rank's"
      case .gradient: "grad: the gradient's norm"
      case .rate: "lr: learning rate"
      case .peak: "peak: of what fp32 products alone reach on all cores"
      case .wait: "wait: of the time, for other ranks' states"
      case .overlap: "overlap: of the sums of gradients, hidden behind computing"
      default: nil
      }
    }
  }

  /// A table for a run.
  ///
  /// - Parameters:
  ///   - steps: Steps of the whole run.
  ///   - peak: What all threads could reach by matrix products in fp32 alone, in GFLOP/s; nil if not known.
  ///   - hasRecall: Whether steps report answers of a generated task.
  ///   - hasShards: Whether ranks share a sequence.
  ///   - hasReduction: Whether gradients are summed over ranks.
  ///   - terms: Names of what is added to the loss, each shown as what it adds.
  ///   - width: Characters that a line may have.
  init(
    steps: Int, peak: Double?, hasRecall: Bool, hasShards: Bool = true, hasReduction: Bool,
    terms: [String] = [],
    width: Int = 100
  ) {
    (self.steps, self.peak, self.terms) = (steps, peak, terms)
    let answers: [Column] = hasRecall ? [.inside] + (hasShards ? [.cross] : []) : []
    // As they stand in a line.
    let all: [Column] =
      [.step, .loss] + answers + terms.map(Column.term)
      + [.gradient, .rate, .speed, .operations, .peak, .wait]
      + (hasReduction ? [.overlap] : []) + [.memory, .left]
    // The most needed first.
    let needed: [Column] =
      [.step, .loss, .speed, .peak, .wait, .left] + answers + terms.map(Column.term)
    let more: [Column] = [.gradient, .memory, .rate, .operations, .overlap].filter(all.contains)
    var (kept, room) = ([Column](), width)
    for (index, column) in (needed + more).enumerated() {
      let size = Self.width(column, steps: steps)
      guard index < 2 || size <= room else { continue }
      kept.append(column)
      room -= size
    }
    columns = all.filter(kept.contains)
  }

  /// The names of the columns.
  var heading: String { row { Self.name($0) } }

  /// What the columns show whose names do not tell it.
  var legend: [String] { columns.compactMap(\.legend) }

  /// The line of a step.
  ///
  /// - Parameters:
  ///   - report: The step; its loss, answers, gradient norm, learning rate and memory are shown.
  ///   - pace: The speed, over all steps since the last line.
  ///   - remaining: Seconds until the last step.
  func line(_ report: StepReport, pace: Pace, remaining: Double) -> String {
    let (outcome, sums) = (report.outcome, report.outcome.sums)
    return row { column in
      switch column {
      case .step: "\(outcome.step + 1)/\(steps)"
      case .loss: Format.fixed(outcome.loss)
      case .inside: Format.percent(sums.inside.accuracy)
      case .cross: Format.percent(sums.crossing.accuracy)
      case .term(let name):
        Format.fixed(
          sums.terms.first { $0.name == name }.map { $0.weight * sums.mean($0) } ?? .nan)
      case .gradient: Format.digits(outcome.gradientNorm)
      case .rate: String(format: "%.2e", outcome.learningRate)
      case .speed: Format.count(pace.tokensPerSecond)
      case .operations:
        pace.gigaflops < 1000 ? Format.digits(pace.gigaflops) : Format.count(pace.gigaflops)
      case .peak: Format.percent(peak.map { pace.gigaflops / $0 }, decimals: 0)
      case .wait: Format.percent(pace.waitShare, decimals: 0)
      case .overlap: Format.percent(pace.hiddenShare, decimals: 0)
      case .memory: Format.bytes(report.ranks.map(\.peakMemoryBytes).max() ?? 0)
      case .left: Format.duration(remaining)
      }
    }
  }

  private static func name(_ column: Column) -> String {
    switch column {
    case .step: "step"
    case .loss: "loss"
    case .inside: "inside"
    case .cross: "cross"
    case .term(let name): name
    case .gradient: "grad"
    case .rate: "lr"
    case .speed: "tok/s"
    case .operations: "GFLOP/s"
    case .peak: "peak"
    case .wait: "wait"
    case .overlap: "overlap"
    case .memory: "memory"
    case .left: "left"
    }
  }

  /// Characters of a column, the space before it included.
  private static func width(_ column: Column, steps: Int) -> Int {
    switch column {
    case .step: max(5, 2 * "\(steps)".count + 1)
    case .term(let name): max(9, name.count + 1)
    case .inside, .cross: 7
    case .gradient, .rate, .memory: 9
    case .speed: 6
    case .peak, .wait: 5
    case .loss, .operations, .overlap, .left: 8
    }
  }

  private func row(_ cell: (Column) -> String) -> String {
    columns.map { column in
      let width = Self.width(column, steps: steps)
      // The space is part of the width, so that a cell that is too wide for once still stands apart.
      return column == .step
        ? Format.right(cell(column), width) : " " + Format.right(cell(column), width - 1)
    }.joined()
  }
}
