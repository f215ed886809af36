import Autodiff
import Corpora
import MessagePassing
import Models
import SequenceParallel
import Tensors
import Testing

@testable import Training

@Suite("Training with states that are carried from step to step")
struct CarryTrainingTests {
  init() { BLAS.setThreads(1) }

  @Test(
    "The losses are those of one long pass over each stream, again and again",
    arguments: ["tnl", "gla", "gated_deltanet", "transformer"], 1...4)
  func streams(mixer: String, ranks: Int) throws {
    // Two streams of 70 tokens: six windows of 11 each, then they begin again.
    let tokens = (0..<140).map { UInt8(($0 * $0 + $0 / 7) % 11) }
    let file = try TextFile(tokens)
    let run = try SmallRun(
      "data.path=\(file.path)", "data.carry=true", "data.held_out=0", "model.mixer=\(mixer)",
      "sequence.length=11", "training.batch=2", "training.accumulation=2", "training.steps=8",
      "optimizer.learning_rate=1e-12")
    let results = try run.train(ranks: ranks)
    let long = try run.make(on: SoloCommunicator())
    func loss(through windows: Int) throws -> Double {
      let length = 11 * windows
      let layout = SequenceLayout(shardLengths: [length], rank: 0, rows: 1)
      return try [0, 70].map { start in
        let pass = SequencePass(context: long.context, layout: layout)
        let tape = Tape(
          workspace: long.context.workspace, parameters: long.store, recording: false)
        let inputs = tokens[start..<start + length].map(Int32.init)
        let targets = tokens[start + 1..<start + length + 1].map(Int32.init)
        return try long.model(inputs, targets: targets, tape: tape, pass: pass).1.sum
      }.reduce(0, +)
    }
    let sums = try (0...6).map { $0 == 0 ? 0 : try loss(through: $0) }
    let each = (0..<6).map { (sums[$0 + 1] - sums[$0]) / 22 }
    for result in results {
      #expect(greatestDifference(result.losses, each + each[..<2]) < 1e-5)
    }
  }

  @Test("Recomputing changes no bit of a run with carries", arguments: [1, 3])
  func recompute(ranks: Int) throws {
    let file = try TextFile((0..<400).map { UInt8(($0 * $0 + $0 / 7) % 11) })
    func train(_ recompute: Bool) throws -> [SmallRun.Result] {
      try SmallRun(
        "data.path=\(file.path)", "data.carry=true", "data.documents=7", "sequence.length=20",
        "training.steps=6", "training.recompute=\(recompute)"
      ).train(ranks: ranks)
    }
    #expect(try train(true) == train(false))
  }
}
