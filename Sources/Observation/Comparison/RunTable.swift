import Configuration
import Reporting

/// `lasp-train runs list`: a row a run.
package struct RunTable: Sendable {
  private let runs: [RunFigures]

  /// - Parameter records: Runs as far as they are.
  package init(_ records: [RunRecord]) {
    runs = zip(records, RunFinder.names(of: records)).map { RunFigures($0, named: $1) }
  }

  /// The table, for lines of some width: names are shortened in their middle where they do not fit.
  package func lines(width: Int) -> [String] {
    let heading = [
      "run", "mixer", "params", "steps", "tokens", "last", "best", "tok/s", "state",
    ]
    let rows = runs.map { run in
      [
        run.name, run.mixer, run.parameters.map { Format.count($0) } ?? "–", Self.steps(run),
        run.parameters == nil ? "–" : Format.count(run.tokens),
        run.last.map { Format.fixed($0.loss) } ?? "–", run.best.map { Format.fixed($0) } ?? "–",
        run.tokensPerSecond.map { Format.count($0) } ?? "–", run.state.word,
      ]
    }
    let table = TextTable(heading, rows, left: [0, 1, 8], shortening: 0, dropping: [4, 6])
      .lines(width: width)
    let failures = runs.compactMap { run -> String? in
      guard case .failed(let reason) = run.state else { return nil }
      return "\(run.name) failed: \(reason)"
    }
    return table + (failures.isEmpty ? [] : [""] + failures)
  }

  /// Steps done; of how many, where these are not all.
  private static func steps(_ run: RunFigures) -> String {
    guard let steps = run.steps, run.stepsDone != steps else { return "\(run.stepsDone)" }
    return "\(run.stepsDone)/\(steps)"
  }

  /// A list of objects, a run each.
  package var json: JSONValue { .array(runs.map(\.json)) }
}

extension RunFigures {
  /// The figures under the names of the log.
  package var json: JSONValue {
    func number(_ value: Double?) -> JSONValue { value.map(JSONValue.number) ?? .null }
    var fields: [String: JSONValue] = [
      "name": .string(name), "folder": .string(folder), "state": .string(state.word),
      "mixer": .string(mixer), "steps_done": .integer(stepsDone),
      "steps": steps.map(JSONValue.integer) ?? .null, "loss": number(loss),
      "best_held_out_loss": number(best), "seconds": .number(seconds),
      "ranks": ranks.map(JSONValue.integer) ?? .null,
    ]
    if case .failed(let reason) = state { fields["reason"] = .string(reason) }
    for measure in RunMeasure.all {
      let value = measure.value(self)
      fields[measure.key] =
        value.flatMap { measure.isCount ? Int(exactly: $0).map(JSONValue.integer) : nil }
        ?? number(value)
    }
    return .object(fields)
  }
}

/// A table as text: columns as wide as what stands in them; where all are too wide together, some are left out, and then
/// one gives way.
package struct TextTable: Sendable {
  private let rows: [[String]]
  private let left: Set<Int>
  private let yielding: Int
  private let dropping: [Int]

  /// What the column that gives way has at least, as long as others can be left out.
  private static let comfort = 24

  /// - Parameters:
  ///   - left: Columns whose text stands at their left end.
  ///   - shortening: The column that is shortened.
  ///   - dropping: Columns that are left out where there is no room, the first first.
  package init(
    _ heading: [String], _ rows: [[String]], left: Set<Int>, shortening: Int, dropping: [Int] = []
  ) {
    (self.rows, self.left, yielding) = ([heading] + rows, left, shortening)
    self.dropping = dropping
  }

  /// The lines, the heading first.
  package func lines(width: Int) -> [String] {
    var widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    var columns = Array(rows[0].indices)
    /// Characters for the column that gives way, where the others have theirs.
    func room() -> Int {
      width - columns.filter { $0 != yielding }.reduce(0) { $0 + widths[$1] + 2 }
    }
    for column in dropping where room() < min(widths[yielding], Self.comfort) {
      columns.removeAll { $0 == column }
    }
    widths[yielding] = max(8, min(widths[yielding], room()))
    return rows.map { row in
      let cells = columns.map { column in
        let text = Format.shortened(row[column], widths[column])
        return left.contains(column)
          ? Format.left(text, widths[column]) : Format.right(text, widths[column])
      }
      var line = cells.joined(separator: "  ")
      while line.hasSuffix(" ") { line.removeLast() }
      return line
    }
  }
}
