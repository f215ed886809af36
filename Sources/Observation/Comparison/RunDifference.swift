import Configuration
import Reporting

/// `lasp-train runs diff`: in what two runs differ, and what came of it.
package struct RunDifference: Sendable {
  private let runs: [RunFigures]
  private let keys: [RunKeys.Difference]

  /// Compares runs, side by side.
  package init(_ records: [RunRecord]) {
    runs = zip(records, RunFinder.names(of: records)).map { RunFigures($0, named: $1) }
    keys = RunKeys(runs.map(\.keys)).telling
  }

  /// The keys that differ, then the figures.
  package func lines(width: Int) -> [String] {
    let names = runs.map(\.name)
    // Columns that hold the longest name or value, and do not make a line too long.
    let column = max(10, min(28, (width - 28) / max(1, runs.count) - 2))
    func row(_ head: String, _ cells: [String]) -> String {
      Format.left(Format.shortened(head, 26), 26)
        + cells.map { "  " + Format.right(Format.shortened($0, column), column) }.joined()
    }
    var lines = [row("key", names)]
    lines += keys.isEmpty ? ["no key differs"] : keys.map { row($0.key, $0.values) }
    lines += ["", row("figure", names)]
    lines += figures.map { row($0.title, $0.values) }
    return lines
  }

  private var figures: [(title: String, values: [String])] {
    func figure(_ title: String, _ text: (RunFigures) -> String?) -> (String, [String])? {
      let values = runs.map(text)
      return values.allSatisfy { $0 == nil } ? nil : (title, values.map { $0 ?? "–" })
    }
    return [
      figure("state") { $0.state.word },
      figure("ranks") { $0.ranks.map { "\($0)" } },
      figure("steps") {
        guard let steps = $0.steps, steps != $0.stepsDone else { return "\($0.stepsDone)" }
        return "\($0.stepsDone) of \(steps)"
      },
      figure("loss") { $0.loss.map(Format.fixed) },
      figure("held out, best") { $0.best.map(Format.fixed) },
    ].compactMap { $0 }
      + RunMeasure.all.compactMap { measure in
        figure(measure.title) { measure.value($0).map(measure.text) }
      } + [figure("time") { Format.duration($0.seconds) }].compactMap { $0 }
  }

  /// The same as an object.
  package var json: JSONValue {
    [
      "keys": .object(
        Dictionary(
          uniqueKeysWithValues: keys.map { ($0.key, .array($0.values.map(JSONValue.string))) })),
      "runs": .array(runs.map(\.json)),
    ]
  }
}

extension RunMeasure {
  /// A value in a table.
  func text(_ value: Double) -> String {
    if isCount { return Format.count(value) }
    if key.hasPrefix("recall") { return Format.percent(value) }
    return key == "perplexity" ? Format.digits(value) : Format.fixed(value)
  }
}
