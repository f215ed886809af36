import Configuration
import Foundation
import Reporting

/// What a plan says: the best layouts below one another, why the first is first, and the run file's lines for it.
package struct PlanReport {
  private let result: PlanSearch.Result
  private var cluster: Cluster { result.cluster }

  package init(_ result: PlanSearch.Result) { self.result = result }

  /// The report as lines.
  package var lines: [String] { lines(width: .max) }

  /// The report as lines, its table with as many columns as there is room for.
  package func lines(width: Int) -> [String] {
    var lines = [heading, ""]
    if let absent = result.absent {
      lines.insert("\(absent) is not here; planned without it", at: 1)
    }
    guard let first = result.best.first else { return lines + none }
    lines.append(row(columns.map(\.name), width: width))
    lines += result.best.enumerated().map { row(cells($0 + 1, $1), width: width) }
    lines += ["", why(first)]
    lines.append(step(from: first))
    for reason in result.refused { lines.append("left out: \(reason)") }
    return lines + [
      "",
      "# for \(Format.number(cluster.ranks, of: "rank")) on \(Format.number(cluster.hosts, of: "host"))",
    ]
      + first.choice.yaml
  }

  private var heading: String {
    let network =
      cluster.hosts > 1
      ? ", \(Format.digits(1e-9 / cluster.network.secondsPerByte)) GB/s and \(Format.digits(cluster.network.latency * 1e6)) µs between hosts"
      : ""
    return
      "\(Format.number(cluster.ranks, of: "rank")) × \(Format.number(cluster.threads, of: "thread")) on \(Format.number(cluster.hosts, of: "host")) of \(Format.bytes(cluster.memoryBytes))\(network), \(Format.digits(cluster.gigaflops)) GFLOP/s a thread\(bfloat16); \(Format.number(result.rehearsed, of: "layout")) rehearsed"
  }

  private var bfloat16: String {
    cluster.bfloat16Speed > 0 ? ", \(Format.digits(cluster.bfloat16Speed)) times that in bf16" : ""
  }

  /// Whether the model has experts, which may be dealt.
  private var hasExperts: Bool { result.best.contains { $0.choice.experts != nil } }

  private var columns: [(name: String, width: Int)] {
    [
      ("", 2), ("data×seq", 9), ("sharding", 11), ("micro", 6), ("segm.", 6), ("recomp.", 8),
      ("exchange", 9), ("prec.", 6), ("a rank", 10), ("a host", 10), ("step", 9), ("network", 8),
      ("sent", 10),
    ] + (hasExperts ? [("experts", 8)] : [])
  }

  private func row(_ cells: [String], width: Int) -> String {
    var room = width - columns.reduce(0) { $0 + $1.width }
    var dropped: Set<String> = []
    for column in columns.reversed() where room < 0 && Self.dropping.contains(column.name) {
      dropped.insert(column.name)
      room += column.width
    }
    return zip(cells, columns).filter { !dropped.contains($1.name) }
      .map { Format.right($0, $1.width) }.joined()
  }

  /// Columns that a narrow line has no room for, the last first: what the lines to paste tell, too, and what follows from others.
  private static let dropping: Set = ["recomp.", "a host", "network", "sent"]

  private func cells(_ number: Int, _ estimate: PlanEstimate) -> [String] {
    let choice = estimate.choice
    return [
      "\(number)", "\(choice.data)×\(choice.sequence)", choice.sharding.rawValue,
      "\(choice.accumulation)", "\(choice.segments)", choice.recompute ? "yes" : "no",
      choice.sequence > 1 ? choice.exchange.rawValue : "–", choice.precision.rawValue,
      Format.bytes(estimate.memoryBytes), Format.bytes(estimate.memoryBytes * cluster.ranksPerHost),
      Format.seconds(estimate.seconds), Format.percent(estimate.networkShare, decimals: 0),
      Format.bytes(estimate.bytesSent), choice.experts.map { "\($0)" } ?? "",
    ]
  }

  private func why(_ first: PlanEstimate) -> String {
    let parts = Self.parts(first)
    guard let second = result.best.dropFirst().first else {
      return "1 is the only one that fits: it \(parts)"
    }
    let ratio = second.seconds / first.seconds - 1
    guard ratio >= 0.005 else {
      return "1 \(parts); 2 is as fast and \(Self.difference(first, second))"
    }
    return
      "1 is first since it \(parts); 2 takes \(Format.percent(ratio, decimals: 0)) longer: it \(Self.parts(second))"
  }

  private static func difference(_ first: PlanEstimate, _ second: PlanEstimate) -> String {
    let bytes = second.memoryBytes - first.memoryBytes
    return bytes == 0
      ? "needs the same memory"
      : "needs \(Format.bytes(abs(bytes))) a rank \(bytes > 0 ? "more" : "less")"
  }

  /// What a step's time is.
  private static func parts(_ estimate: PlanEstimate) -> String {
    let waits: [(Double, String)] = [
      (estimate.states, "states"), (estimate.tokens, "tokens of experts"),
      (estimate.gradients, "sums of gradients"),
      (estimate.weights, "weights"), (estimate.sums, "sums of losses"),
    ]
    let told = waits.filter { $0.0 >= 0.002 * estimate.seconds }.sorted { $0.0 > $1.0 }
      .map { "\(Format.seconds($0.0)) for \($0.1)" }
    return "computes \(Format.seconds(estimate.compute))"
      + (told.isEmpty ? " and hardly waits" : " and waits " + told.joined(separator: ", "))
  }

  private func step(from first: PlanEstimate) -> String {
    guard let smaller = result.smaller else {
      return "nothing that was tried takes much less memory than 1"
    }
    let less = 1 - Double(smaller.memoryBytes) / Double(first.memoryBytes)
    let longer = smaller.seconds / first.seconds - 1
    return
      "the next step down in memory takes \(Format.percent(less, decimals: 0)) less (\(Format.bytes(smaller.memoryBytes)) a rank) and \(Format.percent(longer, decimals: 0)) longer: \(Self.changes(first.choice, smaller.choice))"
  }

  private static func changes(_ one: PlanChoice, _ other: PlanChoice) -> String {
    zip(one.overrides, other.overrides).filter { $0 != $1 }.map(\.1.description)
      .joined(separator: ", ")
  }

  private var none: [String] {
    let least =
      result.least.map {
        ": \($0.choice.overrides.map(\.description).joined(separator: " ")) needs the least, \(Format.bytes($0.memoryBytes * cluster.ranksPerHost)) a host"
      } ?? ""
    return ["no layout fits\(least)"] + result.refused.map { "left out: \($0)" }
  }

  /// The report as an object.
  package var json: JSONValue {
    func object(_ estimate: PlanEstimate) -> JSONValue {
      var keys: [String: JSONValue] = [
        "memory_bytes": .integer(estimate.memoryBytes),
        "host_memory_bytes": .integer(estimate.memoryBytes * cluster.ranksPerHost),
        "bytes_sent": .integer(estimate.bytesSent), "seconds": .number(estimate.seconds),
        "network_share": .number(estimate.networkShare),
        "compute_seconds": .number(estimate.compute), "state_seconds": .number(estimate.states),
        "gradient_seconds": .number(estimate.gradients),
        "weight_seconds": .number(estimate.weights), "token_seconds": .number(estimate.tokens),
      ]
      keys["keys"] = .object(
        Dictionary(
          uniqueKeysWithValues: estimate.choice.overrides.map {
            ($0.key, JSONValue.string($0.text ?? ""))
          }))
      return .object(keys)
    }
    return .object([
      "ranks": .integer(cluster.ranks), "hosts": .integer(cluster.hosts),
      "best": .array(result.best.map(object)), "smaller": result.smaller.map(object) ?? .null,
      "least": result.least.map(object) ?? .null, "rehearsed": .integer(result.rehearsed),
      "refused": .array(result.refused.map { .string($0) }),
    ])
  }

  /// Whether any layout fits.
  package var fits: Bool { !result.best.isEmpty }
}
