import Configuration
import Faults
import MessagePassing
import Tensors

/// How every command that computes begins and ends on a rank.
package enum RankProgram {
  /// Joins the world, sets up threads and memory, runs `body`, and ends all ranks if one fails.
  ///
  /// Where the run file asks for virtual ranks, `body` runs once for each that this process hosts, each on one
  /// thread.
  ///
  /// - Parameter weightsStay: Whether weights never change.
  /// - Returns: What `body` gave; of several virtual ranks, what the first gave.
  package static func run<T: Sendable>(
    _ configuration: RunConfiguration, weightsStay: Bool = false,
    _ body: @Sendable (World, Workspace) throws -> T
  ) throws -> T {
    @Sendable func products(_ world: World) throws -> ProductSettings {
      try configuration.chooseProducts(world: world.communicator, weightsStay: weightsStay)
    }
    let world = try World.start(deadline: configuration.parallel.timeout)
    Phase.enter("the start", nil, .long)
    guard configuration.parallel.reproducible > 0 else {
      let threads =
        configuration.threads > 0 ? configuration.threads : world.host.defaultThreads
      return try ending(world) {
        if let complaint = ProcessLimits.complaint(threads: threads) {
          throw ExhaustedLimit(description: complaint)
        }
        BLAS.setThreads(threads)
        return try body(world, Workspace(threads: threads, products: products(world)))
      }
    }
    let ranks = try ending(world) { try configuration.virtualRanks(processes: world.processes) }
    BLAS.setThreads(1)
    return try world.run(virtualRanks: ranks) { world in
      try ending(world) {
        try body(world, Workspace(products: products(world)))
      }
    }[0]
  }

  /// Ends all ranks if `body` fails.
  private static func ending<T>(_ world: World, _ body: () throws -> T) throws -> T {
    do {
      return try body()
    } catch {
      guard world.communicator.size > 1 else { throw error }
      world.fail(error, code: ExitReason(error).rawValue)
    }
  }
}

/// A limit of the system's that is too low for what a process is to do.
private struct ExhaustedLimit: ErrorWithExitReason, CustomStringConvertible {
  let description: String
  var exitReason: ExitReason { .resources }
}

extension RunConfiguration {
  /// The ranks of the world that a number of processes makes.
  ///
  /// - Throws: `ConfigurationError` where virtual ranks cannot be dealt out evenly.
  func virtualRanks(processes: Int) throws -> Int {
    do {
      return try parallel.ranks(processes: processes)
    } catch {
      throw self.error([
        KeyProblem("parallel.reproducible", "parallel.sequence", message: "\(error)")
      ])
    }
  }
}
