/// Numbers for ranks on several hosts, those of a host consecutive.
///
/// Concretely: hosts come in the order of their first ranks, and the ranks of a host keep their order. So
/// rank 0 stays rank 0, and where a launcher fills host after host nothing changes. Where it deals ranks
/// out in turn, as `mpirun --map-by node` does, neighbours in a sequence are on one host all the same.
struct HostNumbering: Sendable, Equatable {
  /// New number of each rank, by its old one.
  let numbers: [Int]

  /// Numbers ranks.
  ///
  /// - Parameter hosts: Something that names the host of each rank, by its old number.
  init(hosts: [some Hashable]) {
    let ranks = Dictionary(grouping: hosts.indices) { hosts[$0] }
    let order = ranks.values.sorted { $0[0] < $1[0] }.joined()
    var numbers = [Int](repeating: 0, count: hosts.count)
    for (new, old) in order.enumerated() { numbers[old] = new }
    self.numbers = numbers
  }
}
