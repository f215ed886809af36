import Foundation

/// What a run tells the person who watches it; only rank 0 has one.
///
/// Concretely: a banner, a table with a line every `log.every` steps, a line for each evaluation,
/// warning and checkpoint, and a summary. Where the standard error is a terminal a progress bar
/// stands at its foot.
package final class Console {
  private var steps: Int
  private let every: Int
  private let output: TerminalOutput
  private var event: StartEvent?
  private var pace = Pace()
  private var recentSeconds: [Double] = []
  private var linesSinceHeading: Int?
  private var foot = ""
  private var last: StepReport?
  private var evaluated: EvaluationReport?

  /// Makes the console of a run.
  ///
  /// - Parameters:
  ///   - steps: Steps of the whole run.
  ///   - every: Steps between lines.
  package init(steps: Int, every: Int, output: TerminalOutput = .standard()) {
    (self.steps, self.every, self.output) = (steps, every, output)
  }

  /// Prints what is known before the first step, and keeps it for the lines that follow.
  package func banner(_ event: StartEvent) {
    self.event = event
    for line in Banner(event).lines { print(line) }
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
  /// `log.every`th.
  package func step(_ report: StepReport) {
    last = report
    pace.add(report)
    recentSeconds = recentSeconds.suffix(19) + [report.seconds]
    let (done, all) = (report.outcome.step + 1, steps)
    let isFirst = done == (event?.stepsDone ?? 0) + 1
    let mean = recentSeconds.reduce(0, +) / Double(recentSeconds.count)
    let remaining = mean * Double(all - done)
    if isFirst || done == all || done % every == 0 {
      let table = StepTable(
        steps: all, peak: event?.worldPeak, hasRecall: event?.recallChance != nil,
        hasReduction: report.ranks.count > 1,
        terms: report.outcome.sums.terms.map(\.name))
      if linesSinceHeading.map({ $0 >= 60 }) ?? true {
        print(table.heading)
        linesSinceHeading = 0
      }
      linesSinceHeading? += 1
      print(table.line(report, pace: pace, remaining: remaining))
      pace = Pace()
    }
    guard output.foot != nil else { return }
    let bar = Console.bar(
      done: done, of: all,
      note: "\(Format.count(report.tokensPerSecond)) tok/s  \(Format.duration(remaining)) left",
      width: min(output.width - 1, 80))
    foot = done < all ? bar : ""
    output.foot?(foot)
  }

  /// Prints what an evaluation gave.
  package func evaluation(_ report: EvaluationReport) {
    evaluated = report
    var parts = ["loss \(Format.fixed(report.loss))"]
    if let bits = report.bitsPerByte {
      parts.append("\(Format.fixed(bits)) bits per byte")
    } else if let perplexity = report.perplexity {
      parts.append("perplexity \(Format.digits(perplexity))")
    }
    if report.recallChance != nil {
      let sums = report.sums
      parts.append(
        "\(event?.task ?? "recall") \(Format.percent(sums.inside.accuracy)) inside "
          + "\(Format.percent(sums.crossing.accuracy)) cross")
    }
    print(
      "evaluation after step \(report.step): \(parts.joined(separator: ", ")) "
        + "(\(Format.seconds(report.seconds)))")
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

  /// Prints from where the run goes on, and in what it is another than before, a line each.
  package func resume(step: Int, path: String, changes: [String]) {
    print("goes on after step \(step), from \(path)")
    for change in changes { print("  \(change)") }
  }

  /// Prints a line.
  package func note(_ line: String) { print(line) }

  /// Prints a warning.
  package func warning(_ message: String) { print("warning: \(message)") }

  /// Prints how the run ended.
  ///
  /// - Parameters:
  ///   - reason: `finished`, or what ended the run early.
  ///   - steps: Steps done in all.
  ///   - seconds: Seconds since the start.
  ///   - modelPath: Where the weights were written; nil where they were not.
  package func end(reason: String, steps: Int, seconds: Double, modelPath: String?) {
    output.foot?("")
    foot = ""
    print("")
    print("\(reason) after \(Format.number(steps, of: "step")) in \(Format.duration(seconds))")
    // The last evaluation counts where no step came after it.
    let held = evaluated.flatMap { $0.step == steps ? $0 : nil }
    if let last {
      let suffix = held.map { report in
        ", held out \(Format.fixed(report.loss))"
          + (report.bitsPerByte.map { ", \(Format.fixed($0)) bits per byte" } ?? "")
      }
      print("  loss     \(Format.fixed(last.outcome.loss))\(suffix ?? "")")
    }
    if let chance = event?.recallChance, let sums = held?.sums ?? last?.outcome.sums {
      for line in Console.answers(sums, of: event?.task ?? "recall", chance: chance) { print(line) }
    }
    if let modelPath { print("  weights  \(modelPath)") }
    if let event { print("  log      \(event.folder)/log.jsonl") }
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

  /// A bar that fills from the left: `[=====>    ] 41%`, and a note.
  static func bar(done: Int, of all: Int, note: String, width: Int) -> String {
    let text = " \(Format.right("\(done * 100 / max(all, 1))%", 4))  \(note)"
    let room = min(30, width - text.count - 2)
    guard room >= 5 else { return String(text.drop { $0 == " " }.prefix(max(width, 0))) }
    let filled = done * room / max(all, 1)
    let body = String(repeating: "=", count: filled).dropLast(filled < room ? 1 : 0)
    let head = filled > 0 && filled < room ? ">" : ""
    return "[\(Format.left(body + head, room))]\(text)"
  }

  /// Prints a line above the foot.
  private func print(_ line: String) {
    if !foot.isEmpty { output.foot?("") }
    output.line(line)
    if !foot.isEmpty { output.foot?(foot) }
  }
}
