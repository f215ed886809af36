import Configuration
import MessagePassing
import Tensors

/// How every command that computes begins and ends on a rank.
enum RankProgram {
  /// Joins the world, sets up threads and memory, runs `body`, and ends all ranks if one fails.
  ///
  /// - Parameter threads: Threads of a rank; 0 for the host's cores over its ranks.
  static func run(threads: Int, _ body: (World, Workspace) throws -> Void) throws {
    let world = try World.start()
    let threads = threads > 0 ? threads : world.host.defaultThreads
    BLAS.setThreads(threads)
    do {
      try body(world, Workspace(threads: threads))
    } catch {
      guard world.communicator.size > 1 else { throw error }
      world.fail(error, code: error is ConfigurationError ? 2 : 1)
    }
  }
}
