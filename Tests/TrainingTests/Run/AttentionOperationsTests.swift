import MessagePassing
import SequenceParallel
import Tensors
import Testing

@testable import Training

@Suite("Operations of softmax attention")
struct AttentionOperationsTests {
  init() { BLAS.setThreads(1) }

  @Test(
    "What ranks count in a step is the formula's sum, and what the rehearsal counts",
    arguments: [
      ["model.mixer=transformer"], ["model.mixer=transformer", "model.window=10"],
      ["model.layers=[gla, attention]", "sequence.segments=3"],
      ["model.mixer=transformer", "training.recompute=true", "parallel.attention=ring"],
    ], [1, 3])
  func formula(keys: [String], ranks: Int) throws {
    let run = try SmallRun(keys + ["sequence.length=60", "training.steps=1"])
    let (configuration, setup) = (run.configuration, try RunSetup(run.configuration))
    let counted = try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      let run = try run.make(on: world)
      _ = try run.step(0)
      return run.context.counters.attentionOperations
    }
    let model = setup.model
    let tokens = configuration.training.batch * configuration.sequence.length
    let all = model.operations(
      sequences: configuration.training.batch, length: configuration.sequence.length)
    #expect(counted.reduce(0, +) == all - model.operationsPerToken * Double(tokens))
    #expect(counted[0] > 0)
    for rank in 0..<ranks {
      let workspace = Workspace(executor: .rehearsing)
      let rehearsal = try TrainingRun(
        configuration, corpus: setup.corpus, model: model,
        world: try GridPlace(configuration, rank: rank, ranks: ranks).rehearsal(of: rank),
        workspace: workspace, exchange: .chain)
      _ = try rehearsal.step(0)
      #expect(workspace.counters.attentionOperations == counted[rank])
    }
  }

  @Test("Documents that are masked are not counted")
  func documents() throws {
    let file = try TextFile((0..<61).map { UInt8($0 % 10) })
    let keys = [
      "model.mixer=transformer", "data.path=\(file.path)", "data.held_out=0", "training.batch=1",
      "sequence.length=60", "training.steps=1",
    ]
    let counted = try [keys, keys + ["data.documents=0"]].map {
      let run = try SmallRun($0).make(on: SoloCommunicator())
      _ = try run.step(0)
      return run.context.counters.attentionOperations
    }
    // A document begins after each token 0: documents of 1, 10, 10, 10, 10, 10 and 9 tokens.
    let pairs = [1, 10, 10, 10, 10, 10, 9].reduce(0) { $0 + $1 * ($1 + 1) / 2 }
    #expect(counted[1] / counted[0] == Double(pairs) / Double(60 * 61 / 2))
  }
}
