import CommunicatorDoubles
import MessagePassing
import Tensors
import Testing

@testable import Training

@Suite("Messages that fail")
struct FailedMessageTests {
  init() { BLAS.setThreads(1) }

  @Test(
    "Whichever operation of a rank fails, its step ends with what that failed by",
    arguments: [
      ["model.mixer=gla", "parallel.sharding=none"],
      ["model.mixer=gla", "parallel.exchange=gather", "parallel.sharding=optimizer"],
      ["model.mixer=tnl", "parallel.exchange=scan", "parallel.sharding=gradients"],
      ["model.mixer=transformer", "parallel.attention=ring", "parallel.sharding=parameters"],
      ["model.mixer=transformer", "parallel.attention=gather", "sequence.segments=2"],
      ["model.layers=[gated_deltanet,attention]", "model.window=9", "training.recompute=true"],
      ["model.mixer=tnl", "parallel.data=2", "parallel.transport=bf16"],
      ["model.mixer=mom", "model.mom.balance=0.1"],
    ])
  func surfaces(overrides: [String]) throws {
    let run = try SmallRun(overrides + ["training.batch=2"])
    /// Two steps, and what is under way after them.
    @Sendable func train(_ world: any Communicator) throws {
      let run = try run.make(on: world)
      for step in 0..<2 { _ = try run.step(step) }
      try run.store.settle(polling: run.context.workspace.poll)
    }
    let operations = try ThreadCommunicator.run(ranks: 2, deadline: 60) { world in
      let world = CountingCommunicator(world)
      try train(world)
      return world.operations
    }
    for rank in 0..<2 {
      #expect(operations[rank] > 5)
      for failing in 0..<operations[rank] {
        let error = try #require(throws: (any Error).self) {
          try ThreadCommunicator.run(ranks: 2, deadline: 60) { world in
            try train(world.rank == rank ? FailingCommunicator(world, failing: failing) : world)
          }
        }
        #expect("\(error)".contains("the wire is cut"), "operation \(failing) of rank \(rank)")
      }
    }
  }
}
