import Configuration
import Files
import Foundation
import Reporting
import ScalingLaws

/// `lasp-train law`: scaling laws of finished runs, as a table, as JSON and as a page.
package struct LawReport: Sendable {
  /// What is asked of the laws.
  package struct Questions: Sendable {
    /// Models and trainings whose loss is wanted.
    package var predictions: [(parameters: Double, tokens: Double)]
    /// Numbers of operations whose best model and training is wanted.
    package var budgets: [Double]
    /// Fits that intervals come from, and their seed.
    package var resamples: Int
    package var seed: UInt64

    package init(
      predictions: [(parameters: Double, tokens: Double)] = [], budgets: [Double] = [],
      resamples: Int = 400, seed: UInt64 = 0
    ) {
      (self.predictions, self.budgets) = (predictions, budgets)
      (self.resamples, self.seed) = (resamples, seed)
    }
  }

  /// The law of a group of runs, or why there is none.
  package struct Law: Sendable {
    package let group: LawRuns.Group
    package let fit: Result<LawFit, LawProblem>
  }

  package let runs: LawRuns
  package let questions: Questions
  /// A law for each group, by name.
  package let laws: [Law]

  /// Reads the logs of runs, and fits the laws.
  ///
  /// - Parameters:
  ///   - runs: Folders of runs, or with runs below them.
  ///   - key: The key of the run file by which they are told apart.
  /// - Throws: `ObservationError` for a folder without a log, or where no group of runs can carry a law; `FileError`.
  package init(runs: [String], by key: String, _ questions: Questions = Questions()) throws {
    try self.init(try RunFinder.find(runs), by: key, questions)
  }

  /// Fits the laws of some runs.
  package init(
    _ records: [RunRecord], by key: String, _ questions: Questions = Questions()
  ) throws(ObservationError) {
    let runs = LawRuns(records, by: key)
    let laws = runs.groups.map { group in
      Law(
        group: group,
        fit: Result { () throws(LawProblem) in
          try LawFit(
            group.runs.map(\.point), resamples: questions.resamples, seed: questions.seed)
        })
    }
    guard laws.contains(where: { (try? $0.fit.get()) != nil }) else {
      throw .noLaw(
        laws.map { law in
          if case .failure(let problem) = law.fit { "\(law.group.name): \(problem)" } else { "" }
        } + runs.leftOut.map { "\($0.run) is left out: \($0.reason)" })
    }
    (self.runs, self.questions, self.laws) = (runs, questions, laws)
  }

  /// The laws that there are, with their groups.
  var fitted: [(group: LawRuns.Group, fit: LawFit)] {
    laws.compactMap { law in (try? law.fit.get()).map { (law.group, $0) } }
  }

  /// Writes the page.
  package func write(page path: String) throws(FileError) {
    try AtomicFile.write(Data(LawPage(self).html.utf8), to: path)
  }

  // MARK: For people

  /// How the figures are to be read.
  static let legend =
    "L(N, D) = E + A / N^α + B / D^β: N parameters, D tokens trained on, L nats a token"

  /// The table, what was asked for, and what is to be known of it.
  package var lines: [String] {
    func row(_ cells: [String]) -> String {
      Format.left(cells[0], 13) + Format.right(cells[1], 4)
        + cells.dropFirst(2).map { Format.right($0, 21) }.joined()
    }
    let table = fitted.map { group, fit in
      row([
        group.name, "\(group.runs.count)", Self.text(fit.estimate(\.irreducible)),
        Self.text(fit.estimate(\.alpha)), Self.text(fit.estimate(\.beta)),
      ])
    }
    let names = runs.key.split(separator: ".").last.map(String.init) ?? runs.key
    return [
      Self.legend,
      "in brackets where 95 of 100 have it, of \(questions.resamples) resamples of the runs", "",
      row([names, "runs", "E", "α", "β"]),
    ] + table + laws.flatMap(details)
      + runs.leftOut.map { "left out: \($0.run): \($0.reason)" }
      + runs.notices.map { "caution: \($0)" }
  }

  private func details(_ law: Law) -> [String] {
    let fit: LawFit
    switch law.fit {
    case .failure(let problem): return ["", "\(law.group.name): no law: \(problem)"]
    case .success(let found): fit = found
    }
    let lines =
      [
        "off by \(Format.percent(fit.error, decimals: 2)), root mean square",
        "best N grows as C^\(Self.text(fit.estimate(\.parameterShare))), with C = 6 N D operations",
      ]
      + questions.predictions.map { n, d in
        let loss = fit.estimate { $0.loss(parameters: n, tokens: d) }
        return "\(Format.count(n)) parameters, \(Format.count(d)) tokens: loss \(Self.text(loss))"
          + Self.beyond(fit.reach(parameters: n, tokens: d))
      }
      + questions.budgets.map { budget in
        let best = fit.law.optimum(compute: budget)
        return "\(Self.operations(budget)) operations: best "
          + "\(Self.count(fit.estimate { $0.optimum(compute: budget).parameters })) parameters, "
          + "\(Self.count(fit.estimate { $0.optimum(compute: budget).tokens })) tokens, loss "
          + Self.text(fit.estimate { $0.leastLoss(compute: budget) })
          + Self.beyond(fit.reach(parameters: best.parameters, tokens: best.tokens))
      } + fit.cautions.map { "caution: \($0)" }
    return ["", "\(law.group.name): \(Self.formula(fit)), \(Self.extent(fit))"]
      + lines.map { "  \($0)" }
  }

  /// The law with its numbers.
  static func formula(_ fit: LawFit) -> String {
    let law = fit.law
    return
      "L = \(digits(law.irreducible)) + \(Format.digits(exp(law.logA))) / N^\(Format.digits(law.alpha))"
      + " + \(Format.digits(exp(law.logB))) / D^\(Format.digits(law.beta))"
  }

  /// What the runs span.
  static func extent(_ fit: LawFit) -> String {
    func range(_ values: [Double]) -> String {
      "\(Format.count(values.min() ?? 0)) to \(Format.count(values.max() ?? 0))"
    }
    return "of \(range(fit.points.map(\.parameters))) parameters, "
      + "\(range(fit.points.map(\.tokens))) tokens"
  }

  /// A figure with its interval.
  static func text(_ estimate: LawFit.Estimate) -> String {
    "\(digits(estimate.value)) [\(digits(estimate.low)), \(digits(estimate.high))]"
  }

  /// Three digits; what is nothing beside a loss or an exponent is 0.
  static func digits(_ value: Double) -> String { abs(value) < 1e-4 ? "0" : Format.digits(value) }

  private static func count(_ estimate: LawFit.Estimate) -> String {
    "\(Format.count(estimate.value)) [\(Format.count(estimate.low)), \(Format.count(estimate.high))]"
  }

  /// A number of operations.
  static func operations(_ value: Double) -> String { String(format: "%.3g", value) }

  /// A word on what lies far beyond the runs.
  static func beyond(_ reach: Double) -> String {
    reach > 10 ? "; \(Format.count(reach)) times beyond the largest run" : ""
  }

  // MARK: For programs

  /// All of it as one line of JSON.
  package var json: JSONLine {
    var line = JSONLine()
    line.set("by", runs.key)
    line.set("resamples", questions.resamples)
    line.set("seed", Int(truncatingIfNeeded: questions.seed))
    line.set("groups", objects: laws.map(object))
    line.set(
      "left_out",
      objects: runs.leftOut.map {
        var object = JSONLine()
        object.set("run", $0.run)
        object.set("reason", $0.reason)
        return object
      })
    line.set("notices", runs.notices)
    return line
  }

  private func object(_ law: Law) -> JSONLine {
    var object = JSONLine()
    object.set("name", law.group.name)
    object.set("runs", objects: law.group.runs.map(self.object))
    let fit: LawFit
    switch law.fit {
    case .failure(let problem):
      object.set("problem", problem.description)
      return object
    case .success(let found): fit = found
    }
    object.set("E", Self.object(fit.estimate(\.irreducible)))
    object.set("A", Self.object(fit.estimate { exp($0.logA) }))
    object.set("alpha", Self.object(fit.estimate(\.alpha)))
    object.set("B", Self.object(fit.estimate { exp($0.logB) }))
    object.set("beta", Self.object(fit.estimate(\.beta)))
    object.set("compute_exponent_of_parameters", Self.object(fit.estimate(\.parameterShare)))
    object.set("error", fit.error)
    object.set(
      "predictions",
      objects: questions.predictions.map { n, d in
        var object = JSONLine()
        object.set("parameters", n)
        object.set("tokens", d)
        object.set("loss", Self.object(fit.estimate { $0.loss(parameters: n, tokens: d) }))
        object.set("reach", fit.reach(parameters: n, tokens: d))
        return object
      })
    object.set(
      "optima",
      objects: questions.budgets.map { budget in
        var object = JSONLine()
        object.set("operations", budget)
        object.set(
          "parameters", Self.object(fit.estimate { $0.optimum(compute: budget).parameters }))
        object.set("tokens", Self.object(fit.estimate { $0.optimum(compute: budget).tokens }))
        object.set("loss", Self.object(fit.estimate { $0.leastLoss(compute: budget) }))
        return object
      })
    object.set("cautions", fit.cautions)
    return object
  }

  private func object(_ run: (name: String, point: ScalingPoint)) -> JSONLine {
    var object = JSONLine()
    object.set("run", run.name)
    object.set("parameters", run.point.parameters)
    object.set("tokens", run.point.tokens)
    object.set("loss", run.point.loss)
    return object
  }

  private static func object(_ estimate: LawFit.Estimate) -> JSONLine {
    var object = JSONLine()
    object.set("value", estimate.value)
    object.set("low", estimate.low)
    object.set("high", estimate.high)
    return object
  }
}
