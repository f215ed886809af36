/// The communicator of a program that runs as one rank, without MPI: everything completes at once.
///
/// Unchecked: as its superclass, to which it adds nothing.
package final class SoloCommunicator: ThreadCommunicator, @unchecked Sendable {
  /// Makes a world of one rank.
  ///
  /// - Parameter deadline: Seconds that a wait may last.
  package init(deadline: Double = Watch.usualDeadline) {
    super.init(
      world: ThreadWorld(size: 1), context: 0, rank: 0, size: 1,
      watch: Watch(worldRank: 0, deadline: deadline))
  }
}
