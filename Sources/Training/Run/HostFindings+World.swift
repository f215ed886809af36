import Foundation
import MessagePassing
import Reporting
import Tensors

extension HostFacts {
  /// Every rank's, in rank order; collective.
  ///
  /// - Parameters:
  ///   - threads: With how many this rank computes.
  ///   - deep: Whether hwloc is asked.
  package static func gather(_ world: World, threads: Int, deep: Bool) throws -> [HostFacts] {
    var mine = HostFacts.here(deep: deep)
    (mine.rank, mine.threads) = (world.communicator.rank, threads)
    (mine.build, mine.kernels) = (String(BuildIdentity.current.prefix(12)), BLAS.coreName)
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let text = String(decoding: try encoder.encode(mine), as: UTF8.self)
    return try world.communicator.allGather(text).map {
      try JSONDecoder().decode(HostFacts.self, from: Data($0.utf8))
    }
  }
}

extension HostFindings {
  /// What can be found of the ranks' places without measuring, on rank 0; none elsewhere.
  ///
  /// Collective.
  static func gather(_ world: World, threads: Int) throws -> [Finding] {
    // Virtual ranks share their process's place.
    guard world.processes == world.communicator.size else { return [] }
    let facts = try HostFacts.gather(world, threads: threads, deep: false)
    return world.communicator.rank == 0 ? all(facts) : []
  }
}
