import Foundation
import MessagePassing
import Tensors
import Testing

@testable import Training

/// What is run by every rank of `mpirun -n P <test bundle> --filter MPI`; alone it is skipped.
@Suite(
  "Training on ranks that are processes", .serialized,
  .enabled(
    if: ProcessInfo.processInfo.environment["OMPI_COMM_WORLD_SIZE"] != nil,
    "runs under mpirun"))
struct MPITrainingTests {
  private static let world = Result { try World.start(deadline: 60).communicator }

  init() { BLAS.setThreads(1) }

  @Test("A run has the loss of one rank at every step")
  func ranks() throws {
    let world = try Self.world.get()
    let run = try SmallRun("training.steps=20")
    let alone = try run.train(on: SoloCommunicator())
    let result = try run.train(on: world)
    #expect(greatestDifference(result.losses, alone.losses) < 1e-5)
    #expect(greatestDifference(result.norms, alone.norms) < 1e-5)
  }

  @Test("A run has the loss of one rank when every process has sequences of its own")
  func data() throws {
    let world = try Self.world.get()
    let batch = "training.batch=\(2 * world.size)"
    let alone = try SmallRun("training.steps=20", batch).train(on: SoloCommunicator())
    let result = try SmallRun("training.steps=20", batch, "parallel.data=\(world.size)")
      .train(on: world)
    #expect(greatestDifference(result.losses, alone.losses) < 1e-5)
  }

  @Test("A run has the same losses, bit for bit, whatever is cut over the processes")
  func sharding() throws {
    let world = try Self.world.get()
    let keys = ["training.steps=10", "parallel.bucket_bytes=3000"]
    let whole = try SmallRun(keys).train(on: world)
    for sharding in ["optimizer", "gradients", "parameters"] {
      let result = try SmallRun(keys + ["parallel.sharding=\(sharding)"]).train(on: world)
      #expect(result.losses == whole.losses, "\(sharding)")
    }
    let rounded = try SmallRun(keys + ["parallel.transport=bf16"]).train(on: world)
    #expect(greatestDifference(rounded.losses, whole.losses) < 1e-2)
  }

  @Test("A run whose experts are dealt over the processes has the losses of one rank")
  func experts() throws {
    let world = try Self.world.get()
    let keys =
      DealtExpertsTests.experts + [
        "training.steps=10", "model.experts.count=\(2 * world.size)",
        "training.batch=\(2 * world.size)",
      ]
    let alone = try SmallRun(keys).train(on: SoloCommunicator())
    for grid in ["sequence", "data"] {
      let cut = keys + ["parallel.\(grid)=\(world.size)"]
      let whole = try SmallRun(cut).train(on: world)
      let dealt = try SmallRun(cut + ["parallel.experts=\(world.size)"]).train(on: world)
      #expect(greatestDifference(dealt.losses, alone.losses) < 1e-5, "\(grid)")
      #expect(greatestDifference(dealt.norms, whole.norms) < 1e-5, "\(grid)")
      #expect(greatestDifference(dealt.norms, alone.norms) < 1e-5, "\(grid)")
    }
  }

  @Test("The same run twice is bitwise equal")
  func repeats() throws {
    let world = try Self.world.get()
    let run = try SmallRun("training.steps=10")
    #expect(try run.train(on: world) == run.train(on: world))
  }
}
