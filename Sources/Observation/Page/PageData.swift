import Configuration
import Foundation
import Reporting

/// What the page of some runs shows, as the JSON that its script draws.
///
/// Long runs and many ranks are put together in bins, so that a page stays small and readable.
package struct PageData: Sendable {
  /// Points of a curve, and columns and rows of a map, at most.
  static let (points, columns, rows) = (500, 120, 64)

  private let runs: [RunRecord]
  private let isLive: Bool

  /// - Parameter isLive: Whether runs without an end are still followed.
  package init(_ runs: [RunRecord], isLive: Bool = false) {
    (self.runs, self.isLive) = (runs, isLive)
  }

  /// The data.
  package var json: JSONValue {
    [
      "version": .string(Release.version), "live": .bool(isLive),
      "runs": .array(zip(runs, RunFinder.names(of: runs)).map { run(of: $0.0, named: $0.1) }),
      "differences": differences,
    ]
  }

  private func run(of record: RunRecord, named name: String) -> JSONValue {
    let steps = record.steps
    var fields: [String: JSONValue] = [
      "name": .string(name), "folder": .string(record.folder), "state": .string(state(record)),
      "done": .integer(steps.last?.number ?? record.start?.stepsDone ?? 0),
      "odd": .integer(record.oddLines),
      "curves": curves(steps), "time": time(steps), "waits": waits(steps),
      "memory": memory(record), "evaluations": .array(record.evaluations.map(evaluation)),
      "notes": .array(record.notes.suffix(500).map(note)),
      "last": .string(record.lastTime ?? ""),
    ]
    let recent = steps.suffix(20)
    let seconds = recent.reduce(0) { $0 + $1.seconds }
    fields["speed"] = number(Double(recent.reduce(0) { $0 + $1.tokens }) / seconds)
    fields["seconds"] = number(steps.reduce(0) { $0 + $1.seconds })
    if let start = record.start {
      fields["start"] = .string(start.time)
      fields["facts"] = facts(start)
      fields["parameters"] = .integer(start.parameters)
      fields["ranks"] = .integer(start.ranks)
      fields["steps"] = start.steps.map { .integer($0) } ?? .null
      fields["keys"] = .object(start.keys.mapValues { .string($0) })
    }
    if let trace = TracePicture(of: record) { fields["trace"] = trace.json }
    return .object(fields)
  }

  private func state(_ record: RunRecord) -> String {
    record.end?.reason
      ?? (record.start == nil ? "not begun" : isLive ? "running" : "no end in the log")
  }

  private func facts(_ start: RunRecord.Start) -> JSONValue {
    let hosts = Set(start.hosts).count
    return .array(
      [
        "lasp-train \(start.version), \(start.products)",
        "\(Format.number(start.ranks, of: "rank")) × \(Format.number(start.threads, of: "thread")) on "
          + "\(Format.number(hosts, of: "host")), grid sequence \(start.sequenceRanks) × data \(start.dataGroups)",
        "\(Format.grouped(start.parameters)) parameters"
          + (start.trainable < start.parameters
            ? ", \(Format.grouped(start.trainable)) of them trained" : "")
          + ", \(Format.grouped(start.tokensPerStep)) tokens a step",
      ].map(JSONValue.string))
  }

  private func curves(_ steps: [RunRecord.Step]) -> JSONValue {
    let bins = Bins(steps.count, most: Self.points)
    var (tokens, seconds) = ([Double](), [Double]())
    var sum = (tokens: 0.0, seconds: 0.0)
    for step in steps {
      sum.tokens += Double(step.tokens)
      sum.seconds += step.seconds.isFinite ? step.seconds : 0
      tokens.append(sum.tokens)
      seconds.append(sum.seconds)
    }
    func mean(_ value: (RunRecord.Step) -> Double) -> JSONValue {
      list(bins.means(steps.map(value)))
    }
    let loss = steps.map(\.loss)
    var fields: [String: JSONValue] = [
      "step": .array(bins.ranges.map { .integer(steps[$0.upperBound - 1].number) }),
      "tokens": list(bins.ranges.map { tokens[$0.upperBound - 1] }),
      "seconds": list(bins.ranges.map { seconds[$0.upperBound - 1] }),
      "loss": list(bins.means(loss)), "loss_least": list(bins.least(loss)),
      "loss_most": list(bins.most(loss)),
      "grad_norm": mean(\.gradientNorm), "learning_rate": mean(\.learningRate),
      // Tokens over seconds: the mean of speeds would favour fast steps.
      "speed": list(
        bins.ranges.map { bin in
          Double(steps[bin].reduce(0) { $0 + $1.tokens })
            / steps[bin].reduce(0) { $0 + $1.seconds }
        }),
      "gigaflops": mean(\.gigaflops),
    ]
    if steps.contains(where: { $0.recallInside != nil || $0.recallCrossing != nil }) {
      fields["recall_inside"] = mean { $0.recallInside ?? .nan }
      fields["recall_crossing"] = mean { $0.recallCrossing ?? .nan }
    }
    let terms = Set(steps.flatMap(\.terms.keys))
    fields["terms"] = .object(
      Dictionary(
        uniqueKeysWithValues: terms.map { name in (name, mean { $0.terms[name] ?? .nan }) })
    )
    return .object(fields)
  }

  /// Shares of the ranks' time by what it went to.
  private func time(_ steps: [RunRecord.Step]) -> JSONValue {
    let bins = Bins(steps.count, most: Self.columns)
    func share(_ value: (RunRecord.Step) -> Double) -> JSONValue {
      list(
        bins.ranges.map { bin in
          steps[bin].reduce(0) { $0 + value($1) } / steps[bin].reduce(0) { $0 + $1.whole }
        })
    }
    return [
      "step": .array(bins.ranges.map { .integer(steps[$0.upperBound - 1].number) }),
      "seconds": list(bins.ranges.map { bin in steps[bin].reduce(0) { $0 + $1.seconds } }),
      "compute": share(\.compute.mean), "state wait": share(\.stateWait.mean),
      "sums": share(\.reduce.mean), "data": share(\.data.mean),
      "unnamed": share(\.unnamed),
    ]
  }

  /// A rank × step map of the shares of time that ranks wait.
  private func waits(_ steps: [RunRecord.Step]) -> JSONValue {
    let bins = Bins(steps.count, most: Self.columns)
    let ranks = steps.last?.stateWait.values.count ?? 0
    let isWhole = ranks > 0 && steps.allSatisfy { $0.stateWait.values.count == ranks }
    let groups = Bins(ranks, most: Self.rows)
    func map(_ figure: (RunRecord.Step) -> RankFigure) -> JSONValue {
      func cells(_ value: (RankFigure) -> Double) -> JSONValue {
        list(
          bins.ranges.map { bin in
            steps[bin].reduce(0) { $0 + value(figure($1)) }
              / steps[bin].reduce(0) { $0 + $1.seconds }
          }, digits: 3)
      }
      guard isWhole else { return .array([cells(\.least), cells(\.median), cells(\.most)]) }
      return .array(
        groups.ranges.map { group in
          cells { figure in
            group.reduce(0) { $0 + Double(figure.values[$1]) } / Double(group.count)
          }
        })
    }
    let rows =
      isWhole
      ? groups.ranges.map {
        $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)–\($0.upperBound - 1)"
      }
      : ["least", "median", "most"]
    return [
      "from": .array(bins.ranges.map { .integer(steps[$0.lowerBound].number) }),
      "to": .array(bins.ranges.map { .integer(steps[$0.upperBound - 1].number) }),
      "rows": .array(rows.map(JSONValue.string)), "whole": .bool(isWhole),
      "state": map(\.stateWait), "sums": map(\.reduce),
    ]
  }

  private func memory(_ record: RunRecord) -> JSONValue {
    let steps = record.steps
    let bins = Bins(steps.count, most: Self.columns)
    return [
      "step": .array(bins.ranges.map { .integer(steps[$0.upperBound - 1].number) }),
      "most": list(bins.ranges.map { steps[$0.upperBound - 1].memory.most }),
      "median": list(bins.ranges.map { steps[$0.upperBound - 1].memory.median }),
      "rank": .integer(steps.last?.memory.mostRank ?? 0),
      "plan": record.start?.expectedMemory.map { .integer($0) } ?? .null,
    ]
  }

  private func evaluation(_ one: RunRecord.Evaluation) -> JSONValue {
    var fields: [String: JSONValue] = [
      "step": .integer(one.step), "loss": number(one.loss), "seconds": number(one.seconds),
    ]
    if let value = one.bitsPerByte { fields["bits_per_byte"] = number(value) }
    if let value = one.perplexity { fields["perplexity"] = number(value) }
    if let value = one.recallInside { fields["recall_inside"] = number(value) }
    if let value = one.recallCrossing { fields["recall_crossing"] = number(value) }
    return .object(fields)
  }

  private func note(_ one: RunRecord.Note) -> JSONValue {
    [
      "kind": .string(one.kind), "step": .integer(one.step), "time": .string(one.time),
      "text": .string(one.text),
    ]
  }

  /// Keys of the run files whose values differ, with each run's value.
  private var differences: JSONValue {
    .array(
      RunKeys(runs.map { $0.start?.keys ?? [:] }).all.map {
        ["key": .string($0.key), "values": .array($0.values.map(JSONValue.string))]
      })
  }

  private func list(_ values: [Double], digits: Int = 5) -> JSONValue {
    .array(values.map { number($0, digits: digits) })
  }

  /// A number with as many digits as a picture shows; null for what is none.
  private func number(_ value: Double, digits: Int = 5) -> JSONValue {
    guard value.isFinite else { return .null }
    return .number(Double(String(format: "%.\(digits)g", value)) ?? value)
  }
}

/// Consecutive things put together, as evenly as it goes.
struct Bins {
  /// The things of each bin.
  let ranges: [Range<Int>]

  /// - Parameters:
  ///   - count: How many things there are.
  ///   - most: How many bins there may be.
  init(_ count: Int, most: Int) {
    let bins = min(count, most)
    ranges = (0..<bins).map { $0 * count / bins..<($0 + 1) * count / bins }
  }

  /// The mean of each bin's finite values.
  func means(_ values: [Double]) -> [Double] {
    ranges.map { bin in
      let finite = values[bin].filter(\.isFinite)
      return finite.isEmpty ? .nan : finite.reduce(0, +) / Double(finite.count)
    }
  }

  /// The least and the most of each bin's finite values.
  func least(_ values: [Double]) -> [Double] {
    ranges.map { values[$0].filter(\.isFinite).min() ?? .nan }
  }

  func most(_ values: [Double]) -> [Double] {
    ranges.map { values[$0].filter(\.isFinite).max() ?? .nan }
  }
}
