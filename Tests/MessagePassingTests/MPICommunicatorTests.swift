import Foundation
import Testing

@testable import MessagePassing

/// What is run by every rank of `mpirun -n P <test bundle> --filter MPI`; alone it is skipped.
@Suite(
  .serialized,
  .enabled(
    if: ProcessInfo.processInfo.environment["OMPI_COMM_WORLD_SIZE"] != nil,
    "runs under mpirun"))
struct MPICommunicatorTests {
  private static let world = Result { try World.start(deadline: 30) }

  @Test("Processes behave as ranks", arguments: Behaviour.allCases)
  func behaves(_ behaviour: Behaviour) throws {
    try behaviour.run(try Self.world.get().communicator)
  }

  @Test("Parts of the world behave as the world", arguments: Behaviour.allCases)
  func splits(_ behaviour: Behaviour) throws {
    let world = try Self.world.get().communicator
    try behaviour.run(try world.split(color: world.rank % 2, key: -world.rank))
  }

  @Test("What is too long for one call goes in pieces", arguments: Behaviour.allCases)
  func pieces(_ behaviour: Behaviour) throws {
    _ = try Self.world.get()
    try behaviour.run(try MPICommunicator(library: MPILibrary(largestPiece: 1000), deadline: 30))
  }

  @Test("Threads of processes behave as ranks", arguments: Behaviour.allCases, [1, 2, 3])
  func virtual(_ behaviour: Behaviour, each: Int) throws {
    let processes = try Self.world.get().communicator
    try processes.run(virtualRanks: each * processes.size) { try behaviour.run($0) }
  }

  @Test("A rank knows how many share its machine")
  func host() throws {
    let world = try Self.world.get()
    #expect(
      world.communicator.size == Int(ProcessInfo.processInfo.environment["OMPI_COMM_WORLD_SIZE"]!))
    #expect((0..<world.host.ranks).contains(world.host.index))
    #expect(world.host.cores >= 1 && world.host.defaultThreads >= 1)
  }

  @Test("A request that is thrown away is reported by the next operation")
  func dropped() throws {
    let world = try MPICommunicator(library: MPILibrary(), deadline: 30)
    let memory = Memory<Float>(1) { _ in 0 }
    _ = try world.receive(into: memory.bytes, from: world.rank, tag: 9)
    let error = try #require(throws: MessagePassingError.self) { try world.synchronize(for: "all") }
    #expect("\(error)".contains("message of tag 9"))
    // The barrier that the others may be waiting in is everybody's mistake here.
  }
}
