import Foundation

/// What a run tells the person who watches it; only rank 0 has one.
///
/// Concretely: a banner, a table with a line now and then, a line for each evaluation, warning and checkpoint, and a
/// summary. On a terminal a progress bar stands at its foot.
package final class Console {
  private var steps: Int
  private let every: Int
  private let output: TerminalOutput
  private var event: StartEvent?
  private var pace = Pace()
  private var whole = Pace()
  private var recentSeconds: [Double] = []
  private var linesSinceHeading: Int?
  private var hasLegend = false
  private var columnsShown = 0
  private var foot = ""
  private var footDrawn = -Double.infinity
  private var lineDrawn = 0.0
  private var last: StepReport?
  private var evaluated: EvaluationReport?

  /// Makes the console of a run.
  ///
  /// - Parameters:
  ///   - steps: Steps of the whole run.
  ///   - every: Steps between lines; 0 for lines by time.
  package init(steps: Int, every: Int, output: TerminalOutput = .standard()) {
    (self.steps, self.every, self.output) = (steps, every, output)
  }

  /// Prints what is known before the first step, and keeps it for the lines that follow.
  package func banner(_ event: StartEvent) {
    self.event = event
    for line in Banner(event, width: output.width).lines { print(line) }
    print("")
  }

  /// Prints that a stage begins, and what ended the one before; the columns of its steps may be others.
  ///
  /// - Parameter steps: Steps of all stages, as far as is known.
  package func stage(_ event: StageEvent, steps: Int) {
    self.steps = steps
    linesSinceHeading = nil
    let name = "stage \(event.number) of \(event.stages): \(event.kind)"
    let trained = Format.trained(event.trainableParameters, frozen: event.frozenParameters)
    print(
      "\(name) from step \(event.start + 1) to \(event.start + event.steps) at most, \(trained)"
        + (event.reason.map { "; \($0)" } ?? ""))
  }

  /// Takes note of a step, and prints its line when it is its turn: the first, the last, and every
  /// `log.every`th, or by time.
  package func step(_ report: StepReport) {
    last = report
    pace.add(report)
    whole.add(report)
    recentSeconds = recentSeconds.suffix(19) + [report.seconds]
    let (done, all) = (report.outcome.step + 1, steps)
    let isFirst = done == (event?.stepsDone ?? 0) + 1
    let mean = recentSeconds.reduce(0, +) / Double(recentSeconds.count)
    let remaining = mean * Double(all - done)
    if isFirst || done == all || isDue(done) {
      row(report, remaining: remaining)
      lineDrawn = whole.seconds
      pace = Pace()
    }
    guard let draw = output.foot else { return }
    // A bar that is drawn more often than it can be read only takes time.
    guard done == all || whole.seconds - footDrawn >= 0.1 else { return }
    footDrawn = whole.seconds
    let bar = ProgressDisplay.bar(
      share: Double(done) / Double(max(all, 1)),
      note: "step \(done)  loss \(Format.fixed(report.outcome.loss))  "
        + "\(Format.count(report.tokensPerSecond)) tok/s  \(Format.duration(remaining)) left",
      width: min(output.width - 1, 100))
    foot = done < all ? bar : ""
    draw(foot)
  }

  /// Whether a step between the first and the last has a line.
  private func isDue(_ done: Int) -> Bool {
    if every > 0 { return done % every == 0 }
    let (least, most) = output.foot == nil ? (5.0, 300.0) : (2.0, 60.0)
    return whole.seconds - lineDrawn >= min(most, max(least, whole.seconds / 20))
  }

  private func row(_ report: StepReport, remaining: Double) {
    let width = output.width
    let table = StepTable(
      steps: steps, peak: event?.worldPeak, hasRecall: event?.recallChance != nil,
      hasShards: event.map { $0.sequenceRanks > 1 } ?? true,
      hasReduction: report.ranks.count > 1, terms: report.outcome.sums.terms.map(\.name),
      width: width)
    // A terminal that has another width now gets a heading that fits.
    let height = output.foot == nil ? 60 : 20
    if linesSinceHeading.map({ $0 >= height || width != columnsShown }) ?? true {
      if !hasLegend {
        for line in Self.wrapped(table.legend, width: min(width, 110)) { print(line) }
      }
      hasLegend = true
      print(table.heading)
      (linesSinceHeading, columnsShown) = (0, width)
    }
    linesSinceHeading? += 1
    print(table.line(report, pace: pace, remaining: remaining))
  }

  /// Parts in as few lines as they fit.
  static func wrapped(_ parts: [String], width: Int) -> [String] {
    var lines: [String] = []
    for part in parts {
      if let last = lines.last, last.count + 2 + part.count <= width {
        lines[lines.count - 1] = "\(last); \(part)"
      } else {
        lines.append(part)
      }
    }
    return lines
  }

  /// Prints what an evaluation gave.
  package func evaluation(_ report: EvaluationReport) {
    evaluated = report
    var parts = ["loss \(Format.fixed(report.loss))"]
    if let bits = report.bitsPerByte {
      parts.append("\(Format.fixed(bits)) bits per byte")
    }
    if let perplexity = report.perplexity {
      parts.append("perplexity \(Format.digits(perplexity))")
    }
    if report.recallChance != nil {
      let sums = report.sums
      let task = event?.task ?? "recall"
      parts.append(
        sums.crossing.asked == 0
          ? "\(task) \(Format.percent(sums.inside.accuracy))"
          : "\(task) \(Format.percent(sums.inside.accuracy)) inside "
            + "\(Format.percent(sums.crossing.accuracy)) cross")
    }
    print(
      "evaluation after step \(report.step): \(parts.joined(separator: ", ")) "
        + "(\(Format.seconds(report.seconds)))")
  }

  /// The bar of an evaluation that is under way, which stands at the foot until the next step.
  package func evaluationProgress(step: Int) -> ProgressDisplay {
    ProgressDisplay("evaluation after step \(step)", output: output)
  }

  /// Prints that a checkpoint lies on the disk.
  ///
  /// - Parameters:
  ///   - seconds: From its beginning until it was whole.
  ///   - stall: Seconds of these that the run stood still for it.
  package func checkpoint(step: Int, path: String, seconds: Double, stall: Double) {
    let beside =
      stall < seconds ? ", of which the run stood still for \(Format.seconds(stall))" : ""
    print("checkpoint after step \(step): \(path) (\(Format.seconds(seconds))\(beside))")
  }

  /// Prints that a timeline of some steps has been written.
  package func trace(_ steps: ClosedRange<Int>, path: String) {
    print(
      "trace of steps \(steps.lowerBound) to \(steps.upperBound): \(path); ui.perfetto.dev shows it"
    )
  }

  /// Prints from where the run goes on, and in what it is another than before, a line each.
  package func resume(step: Int, path: String, changes: [String]) {
    print("goes on after step \(step), from \(path)")
    for change in changes { print("  \(change)") }
  }

  /// Prints a line.
  package func note(_ line: String) { print(line) }

  /// Prints a line that is no result, to the standard error.
  package func advice(_ line: String) {
    if !output.isQuiet { above { output.notice(line) } }
  }

  /// Prints a warning, to the standard error.
  package func warning(_ message: String) { above { output.warning(message) } }

  /// Prints how the run ended.
  ///
  /// - Parameters:
  ///   - reason: `finished`, or what ended the run early.
  ///   - steps: Steps done in all.
  ///   - seconds: Seconds since the start.
  ///   - modelPath: Where the weights were written; nil where they were not.
  ///   - causes: What made the run slow, a sentence each.
  package func end(
    reason: String, steps: Int, seconds: Double, modelPath: String?, causes: [String] = []
  ) {
    output.foot?("")
    foot = ""
    print("")
    print("\(reason) after \(Format.number(steps, of: "step")) in \(Format.duration(seconds))")
    // The last evaluation counts where no step came after it.
    let held = evaluated.flatMap { $0.step == steps ? $0 : nil }
    if let last {
      print("  loss     \(Format.fixed(last.outcome.loss))")
      if let held { print("  held out \(Format.fixed(held.loss))\(Self.measure(held))") }
      print("  speed    \(Format.count(whole.tokensPerSecond)) tokens/s, evaluations left out")
    }
    if let chance = event?.recallChance, let sums = held?.sums ?? last?.outcome.sums {
      for line in Console.answers(sums, of: event?.task ?? "recall", chance: chance) { print(line) }
    }
    for cause in causes { print("  slow     \(cause)") }
    if let modelPath { print("  weights  \(modelPath)") }
    if let event { print("  log      \(event.folder)/log.jsonl") }
  }

  private static func measure(_ report: EvaluationReport) -> String {
    (report.bitsPerByte.map { ", \(Format.fixed($0)) bits per byte" } ?? "")
      + (report.perplexity.map { ", perplexity \(Format.digits($0))" } ?? "")
  }

  /// The shares of right answers, one below the other, the chance level last.
  static func answers(_ sums: LossSums, of task: String, chance: Double) -> [String] {
    let rows = [
      ("within the question's own shard", sums.inside.accuracy),
      ("from an earlier rank's shard", sums.crossing.accuracy), ("by chance", chance),
    ]
    return rows.enumerated().map { index, row in
      "  \(Format.left(index == 0 ? task : "", 9))\(Format.left(row.0, 33))"
        + Format.right(Format.percent(row.1), 6)
    }
  }

  /// Prints a line above the foot.
  private func print(_ line: String) {
    if !output.isQuiet { above { output.line(line) } }
  }

  private func above(_ write: () -> Void) {
    if !foot.isEmpty { output.foot?("") }
    write()
    if !foot.isEmpty { output.foot?(foot) }
  }
}
