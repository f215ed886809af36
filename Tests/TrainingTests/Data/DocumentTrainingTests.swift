import Autodiff
import Corpora
import Foundation
import MessagePassing
import Models
import SequenceParallel
import Tensors
import Testing

@testable import Training

@Suite("Training on packed documents")
struct DocumentTrainingTests {
  init() { BLAS.setThreads(1) }

  /// Documents of 0 to 19 tokens from 1 to 6 that end with a 0, the last one open.
  private static let documents: [[UInt8]] = [3, 1, 12, 0, 19, 7, 2, 0, 5].enumerated().map {
    (index, length) in
    (0..<length).map { UInt8(1 + ($0 * $0 + 3 * index) % 6) } + (index < 8 ? [0] : [])
  }

  @Test(
    "Losses and gradients are the sums of those of each document alone",
    arguments: ["tnl", "gla", "gated_deltanet", "transformer"], 1...4)
  func alone(mixer: String, ranks: Int) throws {
    let file = try TextFile(Self.documents.flatMap { $0 })
    let run = try SmallRun(
      "data.path=\(file.path)", "data.documents=0", "data.held_out=0", "model.mixer=\(mixer)",
      "sequence.length=\(file.count - 1)", "training.batch=1")
    let packed = try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      let run = try run.make(on: world)
      var batch = TokenBatch(rows: 0..<1, positions: run.cut.positions(0))
      try run.corpus.fill(&batch, step: 0)
      let layout = run.cut.layout(0, carried: 0, documentStarts: batch.documentStarts)
      return try run.sums(batch.inputs, batch.targets, layout: layout)
    }
    let single = try run.make(on: SoloCommunicator())
    var expected = LossAndGradients(loss: 0, gradients: [Float](repeating: 0, count: 0))
    for (index, document) in Self.documents.enumerated() {
      let isOpen = index == Self.documents.count - 1
      let inputs = (isOpen ? document.dropLast() : document[...]).map(Int32.init)
      let targets = document.dropFirst().map(Int32.init) + (isOpen ? [] : [-1])
      let layout = SequenceLayout(shardLengths: [inputs.count], rank: 0, rows: 1)
      expected += try single.sums(inputs, targets, layout: layout)
    }
    var total = packed[0]
    for part in packed[1...] { total += part }
    #expect(abs(total.loss - expected.loss) < 1e-5 * expected.loss)
    #expect(total.distance(to: expected) < 2e-5)
  }
}

/// A file of tokens that is removed with the value.
final class TextFile {
  let path = NSTemporaryDirectory() + "lasp-\(UUID().uuidString).txt"
  let count: Int

  init(_ tokens: [UInt8]) throws {
    count = tokens.count
    try Data(tokens).write(to: URL(fileURLWithPath: path))
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// Sums over targets.
struct LossAndGradients: Sendable {
  var loss: Double
  var gradients: [Float]

  static func += (sums: inout LossAndGradients, more: LossAndGradients) {
    sums.loss += more.loss
    sums.gradients =
      sums.gradients.isEmpty ? more.gradients : zip(sums.gradients, more.gradients).map(+)
  }

  /// The distance of the gradients, relative to the other's norm.
  func distance(to other: LossAndGradients) -> Double {
    var (difference, norm) = (0.0, 0.0)
    for (a, b) in zip(gradients, other.gradients) {
      difference += Double(a - b) * Double(a - b)
      norm += Double(b) * Double(b)
    }
    return (difference / norm).squareRoot()
  }
}

extension TrainingRun {
  /// This rank's part of the sums of losses and gradients over one batch.
  func sums(
    _ inputs: [Int32], _ targets: [Int32], layout: SequenceLayout
  ) throws -> LossAndGradients {
    store.clearGradients()
    let pass = SequencePass(context: context, layout: layout)
    let tape = Tape(workspace: context.workspace, parameters: store, recording: true)
    let (loss, result) = try model(inputs, targets: targets, tape: tape, pass: pass)
    try tape.backward(
      from: loss, gradient: Tensor([1], [1], pool: context.workspace.pool))
    try context.drain()
    return LossAndGradients(
      loss: result.sum,
      gradients: store.updated.flatMap {
        UnsafeBufferPointer(start: $0.gradients, count: $0.range.count)
      })
  }
}
