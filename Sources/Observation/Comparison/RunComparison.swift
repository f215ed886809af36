import Configuration
import Foundation
import Reporting

/// `lasp-train runs compare`: runs in groups, and of each group mean and standard deviation.
package struct RunComparison: Sendable {
  /// Several values of one thing.
  package struct Spread: Sendable, Equatable {
    /// How many there are.
    package let count: Int
    package let mean: Double
    /// Standard deviation of the sample, `√(Σ (x − mean)² / (n − 1))`; nil of one value.
    package let deviation: Double?

    /// Of several values; nil of none.
    package init?(_ values: [Double]) {
      guard !values.isEmpty else { return nil }
      count = values.count
      let mean = values.reduce(0, +) / Double(values.count)
      self.mean = mean
      deviation =
        values.count > 1
        ? (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count - 1))
          .squareRoot() : nil
    }
  }

  /// Runs with the same values of the keys that are compared.
  package struct Group: Sendable {
    /// The values of `keys`.
    package let values: [String]
    package let runs: [RunFigures]

    /// What the group is called.
    package var name: String { values.isEmpty ? "all" : values.joined(separator: ", ") }
    /// Runs that are at their end.
    package var finished: Int { runs.count { $0.state == .finished } }

    /// A figure of its runs, of those that have it.
    package func spread(_ measure: RunMeasure) -> Spread? { Spread(runs.compactMap(measure.value)) }
  }

  /// The keys that are compared.
  package let keys: [String]
  /// The groups, the best first: by held-out loss, as far as there is one.
  package let groups: [Group]
  /// What of the runs should be known beside the table.
  package let notes: [String]
  /// The runs as their logs tell them, group by group.
  let records: [[RunRecord]]

  /// Compares runs.
  ///
  /// - Parameter keys: Keys of the run file by which they are grouped; nil for those that tell them apart, seeds aside.
  /// - Throws: `ObservationError.noKey` for a key that no run has.
  package init(_ records: [RunRecord], by keys: [String]? = nil) throws(ObservationError) {
    let named = zip(records, RunFinder.names(of: records)).map { RunFigures($0, named: $1) }
    let begun = zip(named, records).filter { $0.0.parameters != nil }
    let differences = RunKeys(begun.map(\.0.keys))
    for key in keys ?? [] where !begun.contains(where: { $0.0.keys[key] != nil }) {
      let names = Set(begun.flatMap(\.0.keys.keys))
      throw .noKey(key, near: nearest(to: key, among: names.sorted()))
    }
    let chosen = keys ?? differences.grouping
    var order: [[String]] = []
    var members: [[String]: [(RunFigures, RunRecord)]] = [:]
    for (run, record) in begun {
      let values = chosen.map { run.keys[$0] ?? "–" }
      if members[values] == nil { order.append(values) }
      members[values, default: []].append((run, record))
    }
    func loss(_ values: [String]) -> Double {
      Spread((members[values] ?? []).compactMap { $0.0.last?.loss })?.mean ?? .infinity
    }
    let sorted = order.enumerated().sorted {
      let (one, other) = (loss($0.element), loss($1.element))
      return one == other ? $0.offset < $1.offset : one < other
    }.map(\.element)
    self.keys = chosen
    groups = sorted.map { Group(values: $0, runs: (members[$0] ?? []).map(\.0)) }
    self.records = sorted.map { (members[$0] ?? []).map(\.1) }
    notes = Self.notes(groups, named, chosen, differences)
  }

  /// The measures that any run has.
  package var measures: [RunMeasure] {
    RunMeasure.all.filter { measure in groups.contains { $0.spread(measure) != nil } }
  }

  private static func notes(
    _ groups: [Group], _ all: [RunFigures], _ keys: [String], _ differences: RunKeys
  ) -> [String] {
    var notes: [String] = []
    for group in groups where group.finished < group.runs.count {
      let states = Dictionary(
        grouping: group.runs.filter { $0.state != .finished }, by: \.state.word
      )
      .sorted { $0.key < $1.key }.map { "\($0.value.count) \($0.key)" }
      notes.append(
        "\(group.name): \(states.joined(separator: ", ")); what counts is the last evaluation so far"
      )
    }
    let steps = Set(groups.flatMap(\.runs).compactMap { $0.last?.step })
    if steps.count > 1, !keys.contains("training.steps"),
      let least = steps.min(), let most = steps.max()
    {
      notes.append("evaluated after \(least) to \(most) steps")
    }
    let waiting = all.count { $0.parameters == nil }
    if waiting > 0 { notes.append("\(Format.number(waiting, of: "run")) left out, not begun yet") }
    // Within a group runs should differ in their seeds alone.
    let mixed = Set(
      groups.flatMap { group in
        RunKeys(group.runs.map(\.keys)).telling.map(\.key).filter { $0 != RunKeys.seed }
      })
    if !mixed.isEmpty {
      notes.append(
        "runs of a group differ in \(mixed.sorted().joined(separator: ", ")), too: the deviation is not that of seeds alone"
      )
    }
    return notes
  }

  /// The comparison as an object.
  package var json: JSONValue {
    [
      "by": .array(keys.map(JSONValue.string)), "notes": .array(notes.map(JSONValue.string)),
      "groups": .array(groups.map { object($0) }),
    ]
  }

  private func object(_ group: Group) -> JSONValue {
    var fields: [String: JSONValue] = [
      "name": .string(group.name), "finished": .integer(group.finished),
      "keys": .object(
        Dictionary(uniqueKeysWithValues: zip(keys, group.values.map(JSONValue.string)))),
      "runs": .array(group.runs.map(\.json)),
    ]
    for measure in measures {
      fields[measure.key] =
        group.spread(measure).map { spread in
          [
            "mean": .number(spread.mean), "sd": spread.deviation.map(JSONValue.number) ?? .null,
            "runs": .integer(spread.count),
          ]
        } ?? .null
    }
    return .object(fields)
  }

  /// The table, a row a group, for lines of some width.
  package func lines(width: Int) -> [String] {
    guard !groups.isEmpty else { return ["no run has begun yet"] }
    let measures = measures
    let rows = groups.map { group in
      [
        group.name,
        group.finished == group.runs.count
          ? "\(group.runs.count)" : "\(group.finished)/\(group.runs.count)",
      ] + measures.map { measure in group.spread(measure).map { Self.text($0, measure) } ?? "–" }
    }
    let heading =
      [keys.isEmpty ? "group" : keys.joined(separator: ", "), "runs"] + measures.map(\.title)
    // What follows from others goes first where there is no room.
    let dropping = ["tokens", "perplexity", "recall_inside", "parameters"].compactMap { key in
      measures.firstIndex { $0.key == key }.map { $0 + 2 }
    }
    return TextTable(heading, rows, left: [0], shortening: 0, dropping: dropping)
      .lines(width: width)
      + (notes.isEmpty ? [] : [""] + notes)
  }

  /// `1.2345 ± 0.0067`; of a count the deviation only where it is not nearly nothing.
  static func text(_ spread: Spread, _ measure: RunMeasure) -> String {
    let mean = measure.text(spread.mean)
    guard let deviation = spread.deviation else { return mean }
    if measure.isCount {
      return deviation < 0.005 * spread.mean
        ? mean : "\(mean) ± \(Format.percent(deviation / spread.mean, decimals: 0))"
    }
    if measure.key.hasPrefix("recall") { return "\(mean) ± \(Format.percent(deviation))" }
    // As many decimals as the mean has.
    let decimals =
      mean.contains("e") ? nil : mean.split(separator: ".").dropFirst().first?.count ?? 0
    return "\(mean) ± " + String(format: decimals.map { "%.\($0)f" } ?? "%.1e", deviation)
  }
}
