import Checkpoints
import Configuration
import Corpora
import Foundation
import MessagePassing
import Models
import Reporting
import SequenceParallel
import Tensors
import Testing

@testable import Inference

@Suite("Right answers to a task by length and depth")
struct TaskEvaluationTests {
  init() { BLAS.setThreads(1) }

  private func data(_ keys: [String]) throws -> DataSection {
    var document = ConfigurationDocument(schemas: DataSection.schemas)
    document.apply(keys.map { Override("data.\($0)") })
    let section = document.section(DataSection.self)
    try document.check()
    return section
  }

  private static let model = "gated_deltanet_plain"

  private func rows(
    _ keys: [String], lengths: [Int], ranks: Int, exchange: ExchangeKind = .chain
  ) throws -> [TaskEvaluation.Row] {
    let data = try data(keys)
    let fixture = Fixture(testDescription: Self.model)
    var parallel = ParallelSection()
    parallel.exchange = .kind(exchange)
    let section = parallel
    return try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      try TaskEvaluation(
        modelFolder: fixture.file(), data: data, lengths: lengths, sequences: 9, depths: 4, seed: 3,
        parallel: section, world: world, workspace: Workspace()
      ).run()
    }[0]
  }

  /// The answers of a model that reads each sequence alone.
  private func reference(_ keys: [String], length: Int) throws -> (
    right: Int, asked: Int, depths: [LossSums.Answers]
  ) {
    let folder = try ModelFolder(path: Fixture(testDescription: Self.model).file())
    let runner = ModelRunner(
      folder.model, sequence: SoloCommunicator(), workspace: Workspace())
    try folder.read(into: runner.store)
    let corpus = try data(keys).makeTask(length: length, batch: 9, seed: 3)
    var depths = [LossSums.Answers](repeating: LossSums.Answers(), count: 4)
    for row in 0..<9 {
      var batch = TokenBatch(rows: row..<row + 1, positions: 0..<length)
      try #require(corpus.heldOut).fill(&batch, step: 0)
      var logits = [Float](repeating: 0, count: length * folder.model.vocabulary)
      let layout = SequenceLayout(
        shardLengths: [length], rank: 0, rows: 1, documentStarts: batch.documentStarts)
      _ = try logits.withUnsafeMutableBufferPointer {
        try runner.forward(
          batch.inputs, targets: batch.targets,
          pass: SequencePass(context: runner.context, layout: layout, step: row),
          logits: $0.baseAddress!)
      }
      for position in 0..<length where batch.targets[position] >= 0 {
        let all = logits[
          position * folder.model.vocabulary..<(position + 1) * folder.model.vocabulary]
        let best = all.indices.max { all[$0] < all[$1] }! - all.startIndex
        let place = keys[0] == "task=copy" ? Int(batch.origins[position]) : position
        depths[4 * place / length].asked += 1
        depths[4 * place / length].right += best == Int(batch.targets[position]) ? 1 : 0
      }
    }
    return (depths.map(\.right).reduce(0, +), depths.map(\.asked).reduce(0, +), depths)
  }

  @Test(
    "Answers are those of each sequence read alone, on any ranks and by all exchanges",
    arguments: [
      ["task=parity"], ["task=parity", "parity.longest=6"],
      ["task=copy", "copy.tokens=3", "copy.values=5"],
    ])
  func answers(keys: [String]) throws {
    for (ranks, exchange) in [
      (1, .chain), (3, .chain), (4, .gather), (8, .scan),
    ] as [(Int, ExchangeKind)] {
      let lengths = [6, 23, 50]
      let rows = try rows(keys, lengths: lengths, ranks: ranks, exchange: exchange)
      #expect(rows.map(\.length) == lengths)
      for row in rows {
        let right = try reference(keys, length: row.length)
        #expect(row.answers == LossSums.Answers(right: right.right, asked: right.asked))
        #expect(row.depths == right.depths)
        #expect(row.sums.targets == right.asked)
        #expect((row.sums.crossing.asked > 0) == (ranks > 1))
      }
    }
  }

  @Test("A task of more tokens than the model knows, or without room, is refused")
  func refused() throws {
    let vocabulary = try #require(throws: CorpusError.self) {
      try rows(["task=s5"], lengths: [8], ranks: 1)
    }
    #expect("\(vocabulary)".hasPrefix("the s5 task has 120 different tokens, but the model knows"))
    let room = try #require(throws: CorpusError.self) {
      try rows(["task=copy", "copy.tokens=5", "copy.values=4"], lengths: [20, 9], ranks: 1)
    }
    #expect("\(room)".contains("sequence.length of 9 is too short for the copy task"))
  }

  @Test("The table and the JSON have the same figures")
  func report() throws {
    let data = try data(["task=parity"])
    let fixture = Fixture(testDescription: Self.model)
    let evaluation = try TaskEvaluation(
      modelFolder: fixture.file(), data: data, lengths: [8, 1000], sequences: 2, depths: 2, seed: 1,
      parallel: ParallelSection(), world: SoloCommunicator(), workspace: Workspace())
    #expect(
      evaluation.heading(task: "parity", sequences: 2).last
        == "   length     loss      all   inside    cross     –50%    –100%")
    var sums = LossSums(loss: 8, targets: 16)
    sums.inside = LossSums.Answers(right: 3, asked: 4)
    sums.crossing = LossSums.Answers(right: 0, asked: 12)
    let row = TaskEvaluation.Row(
      length: 1000, sums: sums,
      depths: [LossSums.Answers(right: 2, asked: 8), LossSums.Answers(right: 1, asked: 8)])
    #expect(
      evaluation.line(row) == "    1,000   0.5000    18.8%    75.0%     0.0%    25.0%    12.5%")
    let json = try JSONValue(
      Data(evaluation.json([row], model: "m", task: "parity", sequences: 2).text.utf8))
    #expect(json["task"]?.string == "parity" && json["chance"]?.number == 0.5)
    #expect(json["depth"]?.string == "question")
    let length = try #require(json["lengths"]?.array?.first)
    #expect(length["length"]?.integer == 1000 && length["accuracy"]?.number == 0.1875)
    #expect(length["inside"]?.number == 0.75 && length["crossing"]?.number == 0)
    let depth = try #require(length["depths"]?.array?.last)
    #expect(depth["from"]?.number == 0.5 && depth["to"]?.number == 1)
    #expect(depth["right"]?.integer == 1 && depth["asked"]?.integer == 8)
  }
}
