/// What made a run slow, from its ranks' figures: what `lasp-train` says of it in sentences at a run's end.
package struct SlowCauses: Sendable {
  /// What one rank's steps add up to.
  private struct Sums {
    var seconds = 0.0
    var compute = 0.0
    var processor = 0.0
    var throttled = 0.0
    var waiting = 0.0
    var majorFaults = 0
    var loads: [Double] = []
  }

  private let hosts: [String]
  private let cores: [String: Int]
  private var sums: [Sums]
  /// Whether the first step has been, in which memory is touched for the first time.
  private var hasBegun = false
  private var steps = 0

  /// Nothing is known yet.
  ///
  /// - Parameters:
  ///   - hosts: The host of each rank, in rank order.
  ///   - cores: Cores that the ranks of a host have together.
  package init(hosts: [String], cores: [String: Int]) {
    (self.hosts, self.cores) = (hosts, cores)
    sums = hosts.map { _ in Sums() }
  }

  /// Adds a step; the first is left out.
  package mutating func add(_ ranks: [RankFigures]) {
    guard hasBegun, ranks.count == sums.count else { return hasBegun = true }
    steps += 1
    for (rank, figures) in ranks.enumerated() {
      sums[rank].seconds += figures.seconds
      sums[rank].compute += figures.computeSeconds
      sums[rank].processor += min(figures.computeProcessorSeconds, figures.computeSeconds)
      sums[rank].majorFaults += figures.majorFaults
      guard let pressure = figures.pressure else { continue }
      sums[rank].throttled += pressure.throttledSeconds
      sums[rank].waiting += pressure.waitingSeconds ?? 0
      sums[rank].loads.append(pressure.load)
    }
  }

  /// Share of the time of computing for which ranks had no core; nil where nothing was computed.
  package var shareWithoutCore: Double? { Self.shareWithoutCore(sums) }

  private static func shareWithoutCore(_ sums: some Collection<Sums>) -> Double? {
    let compute = sums.reduce(0) { $0 + $1.compute }
    return compute > 0 ? 1 - sums.reduce(0) { $0 + $1.processor } / compute : nil
  }

  /// What cost so much that a user should know, a sentence each; none where nothing did.
  package var sentences: [String] {
    guard steps > 0 else { return [] }
    return [withoutCore, slowRank, disk].compactMap { $0 }
  }

  private var withoutCore: String? {
    guard let share = shareWithoutCore, share >= 0.1 else { return nil }
    // Of several hosts, the one where it was worst.
    let byHost = Dictionary(grouping: sums.indices) { hosts[$0] }
    let worst = byHost.max { one, other in
      let shares = [one, other].map { Self.shareWithoutCore($0.value.map { sums[$0] }) ?? 0 }
      return shares[0] != shares[1] ? shares[0] < shares[1] : one.key > other.key
    }!
    let ranks = worst.value.map { sums[$0] }
    let place = byHost.count > 1 ? " of \(worst.key)" : ""
    let wall = ranks.map(\.seconds).max() ?? 0
    let throttled = ranks.map(\.throttled).max() ?? 0
    let said = "\(Format.percent(share, decimals: 0)) of the computing time ranks had no core: "
    if wall > 0, throttled >= 0.05 * wall {
      return said + "the control group\(place) was held back for \(Format.seconds(throttled)) of "
        + "\(Format.seconds(wall)), since its quota was used up"
    }
    let loads = ranks.flatMap(\.loads)
    let on = cores[worst.key].map { " on \(Format.number($0, of: "core"))\(place)" } ?? place
    guard let load = loads.max() else {
      if let cores = cores[worst.key], ranks.count <= cores {
        return said + "something else ran\(on)"
      }
      return said + "\(Format.number(ranks.count, of: "rank"))\(on)"
    }
    return said + "load \(Format.digits(load))\(on)"
  }

  private var slowRank: String? {
    guard sums.count > 2 else { return nil }
    let compute = sums.map(\.compute).sorted()
    let median = (compute[(compute.count - 1) / 2] + compute[compute.count / 2]) / 2
    guard median > 0 else { return nil }
    let slow = sums.indices.filter { sums[$0].compute >= 1.1 * median }
      .sorted { sums[$0].compute > sums[$1].compute }
    guard let slowest = slow.first else { return nil }
    let excess = sums[slowest].compute / median - 1
    let more =
      slow.count > 1
      ? ", and \(Format.number(slow.count - 1, of: "other rank")) by 10% or more" : ""
    // What it waited for a core for is no fault of its own.
    let idle = sums[slowest].compute - sums[slowest].processor
    let why =
      idle >= 0.5 * (sums[slowest].compute - median) ? ", most of it without a core" : ""
    return "rank \(slowest) on \(hosts[slowest]) is \(Format.percent(excess, decimals: 0)) slower "
      + "than the median\(why)\(more)"
  }

  private var disk: String? {
    let faults = sums.reduce(0) { $0 + $1.majorFaults }
    let seconds = sums.map(\.seconds).max() ?? 0
    guard seconds > 0, Double(faults) >= 50 * seconds else { return nil }
    return
      "\(Format.grouped(faults)) pages were read from a disk while ranks computed: memory is short"
  }
}
