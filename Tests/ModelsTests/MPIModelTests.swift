import Foundation
import MessagePassing
import Tensors
import Testing

/// What is run by every rank of `mpirun -n P <test bundle> --filter MPI`; alone it is skipped.
@Suite(
  "A model on ranks that are processes", .serialized,
  .enabled(
    if: ProcessInfo.processInfo.environment["OMPI_COMM_WORLD_SIZE"] != nil,
    "runs under mpirun"))
struct MPIModelTests {
  private static let world = Result { try World.start(deadline: 60).communicator }

  init() { BLAS.setThreads(1) }

  @Test(
    "This rank's logits, the loss and every gradient are those of the per-token reference",
    arguments: ModelCase.all, ModelTests.lengths)
  func reference(sample: ModelCase, length: Int) throws {
    let world = try Self.world.get()
    let run = try ModelRun(sample, rows: 3, length: length)
    let expected = run.expected()
    let result = try run.run(on: world)
    let error = run.logitsError(result, expected, rank: world.rank, ranks: world.size)
    #expect(error <= 1e-5)
    let loss = try world.allReduceSum(result.loss)
    #expect(abs(loss - expected.loss) <= 1e-6 * expected.loss)
    let sums = try world.allReduce(result.gradients.map(Double.init), .sum).map { Float($0) }
    #expect(run.wrongGradients(sums, expected, tolerance: 1e-5) == [:])
  }

  @Test("Processes compute bitwise what threads do", arguments: ModelCase.all)
  func threads(sample: ModelCase) throws {
    let world = try Self.world.get()
    let run = try ModelRun(sample, rows: 2, length: 75)
    #expect(try run.run(on: world) == run.run(ranks: world.size)[world.rank])
  }
}
