/// Which ranks and which sequence groups lie on which host.
package struct Placement: Sendable, Equatable {
  /// Consecutive ranks that share a host.
  package struct HostRanks: Sendable, Equatable {
    /// The host's name.
    package let host: String
    /// Its ranks.
    package let ranks: Range<Int>
    /// The sequence groups that these ranks belong to, in whole or in part.
    package let sequenceGroups: ClosedRange<Int>
  }

  /// Every host, in rank order.
  package let hosts: [HostRanks]
  /// Sequence groups that lie on several hosts although one of these has ranks enough for a whole group.
  package let dividedGroups: [Int]

  /// Describes a world.
  ///
  /// - Parameters:
  ///   - hosts: The host of each rank, in rank order.
  ///   - sequence: Ranks that share a sequence; ranks of a group are consecutive.
  package init(hosts: [String], sequence: Int) {
    precondition(
      sequence >= 1 && hosts.count % sequence == 0,
      "\(hosts.count) ranks in sequence groups of \(sequence)")
    var found: [HostRanks] = []
    var start = 0
    for end in hosts.indices.map({ $0 + 1 }) where end == hosts.count || hosts[end] != hosts[start]
    {
      found.append(
        HostRanks(
          host: hosts[start], ranks: start..<end,
          sequenceGroups: start / sequence...(end - 1) / sequence))
      start = end
    }
    self.hosts = found
    dividedGroups = (0..<hosts.count / sequence).filter { group in
      let on = found.filter { $0.sequenceGroups.contains(group) }
      return on.count > 1 && on.contains { $0.ranks.count >= sequence }
    }
  }
}
