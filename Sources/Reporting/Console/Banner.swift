import MessagePassing

/// What the console says before the first step: a line for each thing, names aligned.
struct Banner: Sendable {
  private let event: StartEvent
  private let width: Int

  /// The banner of a run.
  ///
  /// - Parameter width: Characters that a line may have; a longer text goes on in the next.
  init(_ event: StartEvent, width: Int = 100) { (self.event, self.width) = (event, width) }

  /// The lines, the program's name first.
  var lines: [String] {
    let named: [(String, String)?] =
      hosts.enumerated().map { ($0 == 0 ? "hosts" : "", $1) } + [
        ("ranks", ranks), ("model", event.model), trained.map { ("train", $0) },
        event.teacher.map { ("teacher", $0) },
        ("step", step), ("data", event.data), event.tokens.map { ("tokens", $0) },
        event.expectedMemoryBytes.map {
          ("memory", "about \(Format.bytes($0)) a \(event.areRanksVirtual ? "process" : "rank")")
        },
        ("sgemm", speed), ("oneDNN", products), start.map { ("start", $0) },
        ("log", "\(event.folder)/log.jsonl"),
      ]
    return ["lasp-train \(Release.version)"]
      + named.compactMap { $0 }.flatMap { name, text in
        Self.wrapped(text, max(40, min(width, 110) - 10)).enumerated().map { index, line in
          "  \(Format.left(index == 0 ? name : "", 8))\(line)"
        }
      }
  }

  /// A text in lines of at most so many characters; a word that is longer, such as a path, is shortened in its middle.
  static func wrapped(_ text: String, _ width: Int) -> [String] {
    guard text.count > width else { return [text] }
    var lines: [String] = []
    for word in text.split(separator: " ").map({ Format.shortened(String($0), width) }) {
      if let last = lines.last, last.count + 1 + word.count <= width {
        lines[lines.count - 1] = "\(last) \(word)"
      } else {
        lines.append(word)
      }
    }
    return lines
  }

  /// One host with its number of ranks; or a line for each of several, with their ranks and the
  /// sequence groups that these share, and what is not as one would have it.
  private var hosts: [String] {
    let placement = event.placement
    let parts = placement.hosts
    if parts.count == 1 {
      return ["\(parts[0].host) (\(Format.number(event.hosts.count, of: "rank")))"]
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
        column == 2 ? row[2] : Format.left(row[column], rows.map { $0[column].count }.max()!)
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

  private var ranks: String {
    let grid = "grid sequence \(event.sequenceRanks) × data \(event.dataGroups)"
    guard event.areRanksVirtual else {
      return "\(event.hosts.count) × \(Format.number(event.threads, of: "thread")), \(grid)"
    }
    return "\(Format.number(event.hosts.count, of: "virtual rank")) on "
      + "\(Format.number(event.processes, of: "process")), a thread each, \(grid)"
  }

  private var step: String {
    let (least, most) = (event.shardLengths.min() ?? 0, event.shardLengths.max() ?? 0)
    let shard = least == most ? "\(Format.grouped(most))" : "\(least) to \(most)"
    let length = Format.grouped(event.length)
    return "\(event.batch) × \(length)"
      + " = \(Format.grouped(event.tokensPerStep)) tokens; "
      + "\(shard) of each sequence a rank"
  }

  /// What is trained, where that is not everything.
  private var trained: String? {
    let frozen = event.frozenParameters
    return frozen > 0 ? Format.trained(event.parameters - frozen, frozen: frozen) : nil
  }

  private var speed: String {
    // Where the kernels are slow, the figure is not theirs but the machine's.
    let whose = event.slowKernels == nil ? "" : "slow; the machine has "
    let speed = event.sgemmPeak.map { ", \(whose)\(Format.digits($0)) GFLOP/s a thread" } ?? ""
    return "OpenBLAS for \(event.blasCore)\(speed)"
  }

  /// What oneDNN does here.
  private var products: String {
    let (version, products) = (event.products.oneDNN, event.products)
    guard let version else {
      return "not built in" + (products.precision == "fp32" ? "" : ": bf16 products by OpenBLAS")
    }
    return products.library == "onednn"
      ? "\(version): products in \(products.precision)"
      : "\(version), not used: products in \(products.precision) by OpenBLAS"
  }

  private var start: String? {
    event.stepsDone > 0 ? "resumed after step \(event.stepsDone)" : nil
  }
}
