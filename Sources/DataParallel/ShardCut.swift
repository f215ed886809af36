import MessagePassing
import Tensors

/// How ranks with the same weights cut them, which each of them can tell of any table.
struct ShardCut {
  /// What is cut; nothing where there is one rank, which sums as often as others do.
  let sharding: Sharding
  /// How it is cut.
  let partition: Partition
  private let count: Int

  /// - Parameter sources: Ranks of whose tokens a rank forms gradients apart.
  init(
    _ table: ParameterTable, sharding: Sharding, ranks: Int, bucketBytes: Int, wholes: [Range<Int>],
    sources: Int = 1
  ) {
    // A rank that stands for several adds up what they give after each pass where they would.
    let alone = sources > 1 && sharding >= .gradients ? Sharding.gradients : .none
    self.sharding = ranks > 1 ? sharding : alone
    count = table.count
    // A small model too is summed in several units, so that the first are under way while the last are computed.
    let unit = min(bucketBytes, max(1 << 19, table.count / 2))
    partition = Partition(
      table, ranks: ranks, bytes: self.sharding == .parameters ? 1 : unit,
      wholes: self.sharding == .none ? [] : wholes,
      balancing: self.sharding == .parameters ? nil : table.trainable)
  }

  /// Which rank gives which weights where all are collected, ascending: the first one what every rank has.
  var givers: [(range: Range<Int>, rank: Int)] {
    givers(of: IndexRanges([0..<count]), areCut: sharding == .parameters)
  }

  /// The same of a moment of the optimizer, which some parameters have.
  func givers(ofMoments parameters: IndexRanges) -> [(range: Range<Int>, rank: Int)] {
    givers(of: parameters, areCut: sharding != .none)
  }

  private func givers(
    of parameters: IndexRanges, areCut: Bool
  ) -> [(range: Range<Int>, rank: Int)] {
    guard areCut else { return parameters.ranges.map { ($0, 0) } }
    return partition.units.indices.flatMap { unit in
      (0..<partition.ranks).flatMap { rank in
        parameters.pieces(of: partition.part(of: unit, rank: rank)).map { ($0, rank) }
      }
    }
  }
}
