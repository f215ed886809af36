import Faults
import Foundation

/// All ranks of a run, seen from one of them.
///
/// Ranks are numbered so that those of a host are consecutive, in whatever order the launcher dealt them
/// out; the launcher's rank 0 is rank 0. Everything that this program prints and writes counts so.
package struct World: Sendable {
  /// The communicator of all ranks.
  package let communicator: any Communicator
  /// This rank's machine, and its share of it.
  package let host: Host
  /// The number that the launcher gave to this rank, or to the process of a virtual one.
  package let launchRank: Int

  /// Processes of the run; there are more ranks than processes where ranks are virtual.
  package let processes: Int

  /// A world that was put together already.
  ///
  /// - Parameters:
  ///   - launchRank: The launcher's number of this rank; nil for its own.
  ///   - processes: Processes of the run; nil for as many as there are ranks.
  init(
    communicator: any Communicator, host: Host, launchRank: Int? = nil, processes: Int? = nil
  ) {
    (self.communicator, self.host) = (communicator, host)
    self.launchRank = launchRank ?? communicator.rank
    self.processes = processes ?? communicator.size
  }

  /// The exit code of a program whose ranks all stop before their work is done: as with 0, MPI ends well.
  ///
  /// It is `EX_TEMPFAIL`, by which schedulers know that trying again helps.
  package static let stopCode: Int32 = 75

  /// Joins the world: MPI's if a launcher started this process, else a world of one rank without MPI.
  ///
  /// Called once, by every rank, before anything else that communicates. MPI ends when the program exits
  /// with code 0 or `stopCode`; with any other code the launcher ends all ranks.
  ///
  /// - Parameters:
  ///   - environment: The process's variables.
  ///   - deadline: Seconds that a wait may last.
  /// - Throws: `MessagePassingError.launcher` if processes were started together and yet do not form one
  ///   world.
  package static func start(
    environment: [String: String] = ProcessInfo.processInfo.environment,
    deadline: Double = Watch.usualDeadline
  ) throws(MessagePassingError) -> World {
    let launcher = Launcher(environment: environment)
    guard launcher.isPresent else {
      let communicator = SoloCommunicator(deadline: deadline)
      return World(communicator: communicator, host: try Host(neighbours: communicator))
    }
    let place = environment["OMPI_COMM_WORLD_LOCAL_RANK"] ?? environment["SLURM_LOCALID"] ?? "0"
    ProcessLimits.checkStart(isFirstOfHost: place == "0")
    Affinity.widenIfBoundByDefault(environment: environment)
    let library = try MPILibrary(deadline: deadline)
    let communicator = try MPICommunicator(library: library, deadline: deadline)
    if let complaint = launcher.complaint(worldSize: communicator.size) {
      throw .launcher(complaint)
    }
    let watch = ProcessWatch.current
    watch.limit = deadline
    watch.adopt([communicator.watch])
    communicator.watch.inquire { watch.judge(waitingFor: $0) }
    let host = try Host(neighbours: communicator.splitByHost())
    library.share(cores: host.cores, ranks: host.ranks)
    try watch.join(
      communicator, isOneHost: host.ranks == communicator.size, launchRank: library.launchRank)
    return World(communicator: communicator, host: host, launchRank: library.launchRank)
  }

  /// Prints `rank 3 (host): what happened; what to do` and ends every rank of the job within seconds.
  ///
  /// A rank that only heard of another's failure says nothing: that rank does.
  ///
  /// - Parameter code: The exit code, in 1…255.
  package func fail(_ error: any Error, code: Int32 = 1) -> Never {
    communicator.fail(error, code: code)
  }
}

extension Communicator {
  /// Prints `rank 3 (host): what happened; what to do` and ends every rank of the job within seconds.
  ///
  /// A rank that only heard of another's failure says nothing: that rank does.
  ///
  /// - Parameter code: The exit code, in 1…255.
  package func fail(_ error: any Error, code: Int32 = 1) -> Never {
    if case .peerFailed(let rank, let reason)? = error as? MessagePassingError {
      // The rank that failed ends the job; should it be unable to, this one does.
      Phase.enter("the end of the job", nil, .long)
      sleep(10)
      abort("rank \(rank) failed: \(reason)", code: code)
    }
    abort("\(error)", code: code)
  }
}
