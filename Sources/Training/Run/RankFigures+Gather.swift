import MessagePassing
import Reporting

extension RankFigures {
  /// Every rank's figures, in rank order, on rank 0; empty elsewhere.
  static func gather(_ mine: RankFigures, world: any Communicator) throws -> [RankFigures] {
    let count = mine.numbers.count
    var all = [Double](repeating: 0, count: world.rank == 0 ? count * world.size : 0)
    try mine.numbers.withUnsafeBytes { mine in
      try all.withUnsafeMutableBytes { all in
        try world.gather(mine, into: world.rank == 0 ? all : nil, to: 0)
          .wait(for: "the ranks' figures at rank 0")
      }
    }
    return (0..<all.count / count).map { RankFigures(all[$0 * count..<($0 + 1) * count]) }
  }
}
