import MessagePassing
import SequenceParallel
import Tensors
import Testing

@testable import Training

extension RunSetup {
  /// Rehearsals of the run.
  func rehearsals(_ configuration: RunConfiguration, ranks: Int) -> Rehearsals {
    Rehearsals(configuration, corpus: corpus, model: model, teacher: teacherModel, ranks: ranks)
  }
}

@Suite("Rehearsals of a run")
struct RehearsalsTests {
  init() { BLAS.setThreads(1) }

  @Test(
    "The choice of an exchange, the banner, the grouping of segments and the run itself make each once"
  )
  func once() throws {
    let run = try SmallRun(
      "parallel.exchange=auto", "parallel.reproducible=3", "sequence.segments=3",
      "sequence.length=48")
    let made = try ThreadCommunicator.run(ranks: 3, deadline: 60) { world in
      let setup = try RunSetup(run.configuration)
      let rehearsals = setup.rehearsals(run.configuration, ranks: 3)
      let choice = try ExchangeChoice(measuring: rehearsals, world: world)
      _ = try TrainingSession.runMemory(rehearsals, choice, processes: 3)
      let part = try TrainingRun(
        run.configuration, corpus: setup.corpus, model: setup.model, world: world,
        workspace: Workspace(), exchange: choice.kind, rehearsals: rehearsals)
      part.initializeWeights()
      for step in 0..<2 { _ = try part.step(step) }
      try part.store.settle(polling: part.context.workspace.poll)
      // What layers carry is looked up without knowing the exchange; the rest belongs to what was taken.
      let needed = Set<Rehearsals.Work>(
        [.segments(rank: 0, .chain), .step(rank: 0, hosting: 1, choice.kind, .expected)]
          + (0..<3).map { .segments(rank: $0, choice.kind) })
      return (made: rehearsals.made, needed: needed)
    }
    for rank in made {
      #expect(rank.made.count == rank.needed.count)
      #expect(Set(rank.made) == rank.needed)
    }
  }

  @Test(
    "What layers carry does not depend on the exchange, segments or micro-batches that are rehearsed"
  )
  func loads() throws {
    func loads(_ keys: String...) throws -> [String] {
      let configuration = try SmallRun(keys + ["sequence.length=48"]).configuration
      let rehearsals = try RunSetup(configuration).rehearsals(configuration, ranks: 2)
      if !keys.isEmpty { _ = try rehearsals.step(rank: 0, exchange: .gather) }
      return try rehearsals.loads().map { "\($0)" }
    }
    let plain = try loads()
    #expect(!plain.isEmpty)
    #expect(try loads("sequence.segments=2") == plain)
  }
}
