import Tensors

/// How the parameters' index space is cut: into units of whole regions, and each unit into a part a rank.
///
/// Concretely: rank r of P owns `[⌊n r / P⌋, ⌊n (r + 1) / P⌋)` of a unit of n numbers. A cut that falls inside a matrix
/// that must stay whole moves to its nearer end. Where parameters are frozen, n may count the trained ones alone.
package struct Partition: Sendable {
  /// Neighbouring regions whose gradients are summed, and whose weights are gathered, together.
  package struct Unit: Sendable, Equatable {
    /// Which regions.
    package let regions: Range<Int>
    /// Where their numbers lie in the index space.
    package let range: Range<Int>
  }

  /// The units in ascending order; together they are everything.
  package let units: [Unit]
  /// Ranks that share each unit.
  package let ranks: Int
  private let unitOfRegion: [Int]
  /// For each unit where the parts of all ranks begin, and the end.
  private let cuts: [[Int]]

  /// Cuts a table.
  ///
  /// - Parameters:
  ///   - bytes: The least bytes of a unit; 1 for a unit a region. Regions are joined from the last on, the
  ///     order in which the backward pass completes them, so that only the first unit may be smaller.
  ///   - wholes: Ranges that one rank owns each, ascending, each of one region.
  ///   - balancing: The numbers of which all parts of a unit have as many; all where nil.
  package init(
    _ table: ParameterTable, ranks: Int, bytes: Int, wholes: [Range<Int>] = [],
    balancing counted: IndexRanges? = nil
  ) {
    precondition(ranks >= 1 && bytes >= 1, "\(ranks) ranks, units of \(bytes) bytes")
    var units: [Unit] = []
    var end = table.regions.count
    for region in table.regions.indices.reversed() {
      let range =
        table.regions[region].range.lowerBound..<table.regions[end - 1].range.upperBound
      if 4 * range.count >= bytes || region == 0 {
        units.append(Unit(regions: region..<end, range: range))
        end = region
      }
    }
    self.units = units.reversed()
    self.ranks = ranks
    unitOfRegion = self.units.enumerated().flatMap { unit, cut in cut.regions.map { _ in unit } }
    cuts = self.units.map { unit in
      (0...ranks).map { rank in
        let cut = Self.cut(unit.range, rank, of: ranks, balancing: counted)
        guard let whole = wholes.first(where: { $0.lowerBound < cut && cut < $0.upperBound }) else {
          return cut
        }
        return cut - whole.lowerBound <= whole.upperBound - cut
          ? whole.lowerBound : whole.upperBound
      }
    }
  }

  /// Where a rank's part of a unit begins.
  private static func cut(
    _ unit: Range<Int>, _ rank: Int, of ranks: Int, balancing counted: IndexRanges?
  ) -> Int {
    guard let counted, counted.count(in: unit) > 0, (1..<ranks).contains(rank) else {
      return unit.lowerBound + unit.count * rank / ranks
    }
    let number = counted.count(in: unit) * rank / ranks
    return counted.index(ofNumber: counted.offset(of: unit.lowerBound) + number)
  }

  /// The unit that a region belongs to.
  package func unit(ofRegion region: Int) -> Int { unitOfRegion[region] }

  /// A rank's part of a unit, in the index space.
  package func part(of unit: Int, rank: Int) -> Range<Int> {
    cuts[unit][rank]..<cuts[unit][rank + 1]
  }

  /// A rank's parts of all units, ascending.
  package func parts(rank: Int) -> [Range<Int>] {
    units.indices.map { part(of: $0, rank: rank) }
  }
}
