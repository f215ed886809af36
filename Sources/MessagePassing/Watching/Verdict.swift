/// What follows from the reports of all ranks for one that has waited too long.
enum Verdict: Sendable, Equatable {
  /// Those that it waits for work: it waits on.
  case waitOn
  /// The job ends, for this reason.
  case end(String)

  /// Finds the ranks that hold all others up.
  ///
  /// These are the ones that tell nothing; else, along the chain of who waits for whom, those that do not wait.
  ///
  /// - Parameters:
  ///   - rank: Who asks.
  ///   - peers: Whom it waits for; nil if it cannot tell.
  ///   - reports: What the others tell.
  ///   - limit: Seconds after which what shows no progress stands still.
  init(of rank: Int, waitingFor peers: [Int]?, _ reports: [RankReport], limit: Double) {
    let others = reports.filter { $0.rank != rank }
    let lost = others.filter {
      switch $0.answer {
      case .silent, .absent: true
      case .waiting, .working: false
      }
    }
    guard lost.isEmpty else {
      self = .end(
        Self.list(lost.map(Self.sentence)) + Self.links(from: peers, to: lost, others))
      return
    }
    let culprits = Self.reached(from: peers, others)
    if culprits.isEmpty {
      let waits = others.sorted { $0.rank < $1.rank }.prefix(4).map(Self.sentence)
      self = .end(
        others.isEmpty
          ? "no other rank can be asked" : "all ranks wait: " + waits.joined(separator: ", "))
      return
    }
    let still = culprits.filter {
      if case .working(let idle, let isLong) = $0.answer { !isLong && idle >= limit } else { false }
    }
    if still.isEmpty {
      self = .waitOn
    } else {
      self = .end(Self.list(still.map(Self.sentence)) + Self.links(from: peers, to: still, others))
    }
  }

  /// Those that do not wait, along the chain from these ranks; of all, where nobody can tell for whom it waits.
  private static func reached(from peers: [Int]?, _ others: [RankReport]) -> [RankReport] {
    let byRank = Dictionary(others.map { ($0.rank, $0) }) { first, _ in first }
    var found: [RankReport] = []
    var seen: Set<Int> = []
    var next = peers ?? Array(byRank.keys)
    while let rank = next.popLast() {
      guard seen.insert(rank).inserted, let report = byRank[rank] else { continue }
      if case .waiting(let wait) = report.answer {
        next += wait.peers ?? Array(byRank.keys)
      } else {
        found.append(report)
      }
    }
    return found.sorted { $0.rank < $1.rank }
  }

  /// What a rank is at, as lines tell it.
  static func sentence(_ report: RankReport) -> String {
    switch report.answer {
    case .waiting(let wait):
      return "\(report.name) for \(wait.purpose) (\(seconds(wait.seconds)))"
    case .working(let idle, _):
      return
        "\(report.name) has been in \(report.phase) for \(seconds(report.phaseSeconds)), the last "
        + "\(seconds(idle)) without progress"
    case .silent(let isStopped):
      return "\(report.name) " + (isStopped ? "is stopped" : "stands still and does not answer")
    case .absent:
      return "\(report.name) is not there: it has ended, runs another program, or cannot be reached"
    }
  }

  /// Who waits for the culprits, where the one that asks does not.
  private static func links(
    from peers: [Int]?, to culprits: [RankReport], _ others: [RankReport]
  ) -> String {
    let named = Set(culprits.map(\.rank))
    guard let peers, named.isDisjoint(with: peers) else { return "" }
    for report in others {
      if peers.contains(report.rank), case .waiting(let wait) = report.answer {
        return ", for which rank \(report.rank) waits (\(wait.purpose))"
      }
    }
    return ""
  }

  private static func list(_ sentences: [String]) -> String {
    let shown = sentences.prefix(4).joined(separator: ", ")
    return sentences.count > 4 ? shown + ", and \(sentences.count - 4) more" : shown
  }

  static func seconds(_ value: Double) -> String { "\(value.rounded(toPlaces: 1)) s" }
}
