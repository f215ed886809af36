import Foundation
import Models
import MessagePassing

/// What the console says before the first step: a line for each thing, names aligned.
struct Banner: Sendable {
  private let event: StartEvent

  /// The banner of a run.
  init(_ event: StartEvent) { self.event = event }

  /// The lines, the program's name first.
  var lines: [String] {
    let named: [(String, String)?] =
      hosts.enumerated().map { ($0 == 0 ? "hosts" : "", $1) } + [
        ("ranks", ranks), ("model", model), ("step", step), ("data", data),
        event.expectedMemoryBytes.map {
          ("memory", "about \(Human.bytes($0)) a \(isVirtual ? "process" : "rank")")
        },
        ("sgemm", speed), start.map { ("start", $0) }, ("log", "\(event.folder)/log.jsonl"),
      ]
    return ["lasp-train \(Release.version)"]
      + named.compactMap { $0 }.map { "  \(Human.left($0.0, 7))\(Human.shortened($0.1, 90))" }
  }

  /// One host with its number of ranks; or a line for each of several, with their ranks and the
  /// sequence groups that these share, and what is not as one would have it.
  private var hosts: [String] {
    let placement = event.placement
    let parts = placement.hosts
    if parts.count == 1 {
      return ["\(parts[0].host) (\(Human.number(event.hosts.count, of: "rank")))"]
    }
    let shown = parts.prefix(parts.count > 8 ? 6 : 8)
    let rows = shown.map { part in
      [
        part.host, Self.span("rank", part.ranks.lowerBound, part.ranks.upperBound - 1),
        Self.span(
          "sequence group", part.sequenceGroups.lowerBound, part.sequenceGroups.upperBound),
      ]
    }
    var lines = rows.map { row in
      row.indices.map { column in
        column == 2 ? row[2] : Human.left(row[column], rows.map { $0[column].count }.max()!)
      }.joined(separator: "  ")
    }
    if parts.count > shown.count { lines.append("and \(parts.count - shown.count) more") }
    let divided = placement.dividedGroups
    if !divided.isEmpty {
      lines.append(
        "sequence groups that cross hosts: \(divided.count) of \(event.dataGroups), since "
          + "\(event.sequenceRanks) ranks a group do not divide a host's")
    }
    return lines
  }

  /// Things that are numbered: `rank 3`, `ranks 0–3`.
  private static func span(_ thing: String, _ first: Int, _ last: Int) -> String {
    first == last ? "\(thing) \(first)" : "\(thing)s \(first)–\(last)"
  }

  private var isVirtual: Bool { event.configuration.parallel.reproducible > 0 }

  private var ranks: String {
    let grid = "grid sequence \(event.sequenceRanks) × data \(event.dataGroups)"
    guard isVirtual else {
      return "\(event.hosts.count) × \(Human.number(event.threads, of: "thread")), \(grid)"
    }
    return "\(Human.number(event.hosts.count, of: "virtual rank")) on "
      + "\(Human.number(event.processes, of: "process")), a thread each, \(grid)"
  }

  private var model: String {
    Self.model(event.configuration.model, parameters: event.parameters)
  }

  /// A model in a few words.
  static func model(_ model: ModelSection, parameters: Int) -> String {
    let weights = "\(Human.grouped(parameters)) parameters"
    if let folder = model.from { return "\(weights), from \(folder)" }
    var mixers: [String] = []
    for mixer in model.mixerOfLayer where !mixers.contains(mixer) { mixers.append(mixer) }
    return "\(mixers.joined(separator: " + ")), \(Human.number(model.depth, of: "block")), width "
      + "\(model.dimension), \(Human.number(model.heads, of: "head")), \(weights)"
  }

  private var step: String {
    let (least, most) = (event.shardLengths.min() ?? 0, event.shardLengths.max() ?? 0)
    let shard = least == most ? "\(Human.grouped(most))" : "\(least) to \(most)"
    let length = Human.grouped(event.configuration.sequence.length)
    return "\(event.configuration.training.batch) × \(length)"
      + " = \(Human.grouped(event.tokensPerStep)) tokens; "
      + "\(shard) of each sequence a rank"
  }

  private var data: String {
    let data = event.configuration.data
    guard let first = data.path.first else {
      let chance = event.recallChance.map { ", chance \(Human.percent($0))" } ?? ""
      return "\(data.task) task, made on the fly\(chance)"
    }
    let more = data.path.count > 1 ? " and \(data.path.count - 1) more" : ""
    return Human.shortened(first.path, 60) + more + (event.tokensAreBytes ? ", bytes" : "")
  }

  private var speed: String {
    let speed = event.sgemmPeak.map { ", \(Human.digits($0)) GFLOP/s a thread" } ?? ""
    return "OpenBLAS for \(event.blasCore)\(speed)"
  }

  private var start: String? {
    event.stepsDone > 0 ? "resumed after step \(event.stepsDone)" : nil
  }
}
