import Testing

@testable import MessagePassing

@Suite("Ranks on hosts")
struct PlacementTests {
  @Test(
    "Ranks of a host are numbered one after another, hosts by their first rank",
    arguments: [
      ("a", [0]), ("aaaa", [0, 1, 2, 3]), ("aabb", [0, 1, 2, 3]), ("abab", [0, 2, 1, 3]),
      ("baba", [0, 2, 1, 3]), ("abcabc", [0, 2, 4, 1, 3, 5]), ("aabbab", [0, 1, 3, 4, 2, 5]),
      ("abcaba", [0, 3, 5, 1, 4, 2]), ("abbbba", [0, 2, 3, 4, 5, 1]), ("zyx", [0, 1, 2]),
    ])
  func numbers(hosts: String, expected: [Int]) {
    #expect(HostNumbering(hosts: Array(hosts)).numbers == expected)
  }

  @Test("However ranks are dealt out, the numbers are 0 to P−1, hosts are whole and rank 0 stays")
  func everyDeal() {
    for ranks in 1...24 {
      for hosts in 1...5 {
        for pace in 1...4 {
          let dealt = (0..<ranks).map { $0 * pace / 3 % hosts }
          let numbers = HostNumbering(hosts: dealt).numbers
          #expect(numbers.sorted() == Array(0..<ranks) && numbers[0] == 0)
          var placed = [Int](repeating: -1, count: ranks)
          for (old, new) in numbers.enumerated() { placed[new] = dealt[old] }
          let seams = zip(placed, placed.dropFirst()).count { $0 != $1 }
          #expect(seams == Set(dealt).count - 1)
          for host in 0..<hosts {
            let own = dealt.indices.filter { dealt[$0] == host }.map { numbers[$0] }
            #expect(own == own.sorted(), "ranks of a host keep their order")
          }
        }
      }
    }
  }

  /// Host, first and last rank, first and last sequence group.
  typealias Row = (String, Int, Int, Int, Int)

  @Test(
    "Each host has its ranks and sequence groups, and groups are named that could lie on one host",
    arguments: [
      ("aaaa", 4, [("a", 0, 3, 0, 0)], []),
      ("aabb", 4, [("a", 0, 1, 0, 0), ("b", 2, 3, 0, 0)], []),
      ("aabb", 2, [("a", 0, 1, 0, 0), ("b", 2, 3, 1, 1)], []),
      ("aabb", 1, [("a", 0, 1, 0, 1), ("b", 2, 3, 2, 3)], []),
      ("aaabbb", 2, [("a", 0, 2, 0, 1), ("b", 3, 5, 1, 2)], [1]),
      ("aaaaab", 3, [("a", 0, 4, 0, 1), ("b", 5, 5, 1, 1)], [1]),
      ("abbb", 2, [("a", 0, 0, 0, 0), ("b", 1, 3, 0, 1)], [0]),
      (
        "abcd", 2, [("a", 0, 0, 0, 0), ("b", 1, 1, 0, 0), ("c", 2, 2, 1, 1), ("d", 3, 3, 1, 1)], []
      ),
    ] as [(String, Int, [Row], [Int])])
  func placement(hosts: String, sequence: Int, rows: [Row], divided: [Int]) {
    let placement = Placement(hosts: hosts.map(String.init), sequence: sequence)
    #expect(
      placement.hosts
        == rows.map {
          Placement.HostRanks(host: $0.0, ranks: $0.1..<$0.2 + 1, sequenceGroups: $0.3...$0.4)
        })
    #expect(placement.dividedGroups == divided)
  }
}
