import MessagePassing
import Models
import ReferenceMath
import Tensors
import Testing

@Suite("Models on any number of ranks")
struct ModelTests {
  init() { BLAS.setThreads(1) }

  /// Two tokens; fewer than ranks; a length that all rank counts divide; one that none does.
  static let lengths = [2, 5, 48, 131]

  @Test(
    "Every rank's logits, the loss and every gradient are those of the per-token reference",
    arguments: ModelCase.all, lengths)
  func reference(sample: ModelCase, length: Int) throws {
    for rows in [1, 3] {
      let run = try ModelRun(sample, rows: rows, length: length)
      let expected = run.expected()
      for ranks in [1, 2, 3, 4, 8] {
        let results = try run.run(ranks: ranks)
        for (rank, result) in results.enumerated() {
          let error = run.logitsError(result, expected, rank: rank, ranks: ranks)
          #expect(error <= 1e-5, "logits of rank \(rank) of \(ranks), \(rows) rows")
        }
        let loss = results.reduce(0) { $0 + $1.loss }
        #expect(abs(loss - expected.loss) <= 1e-6 * expected.loss, "\(ranks) ranks, \(rows) rows")
        #expect(
          run.wrongGradients(ModelRun.sum(results), expected, tolerance: 1e-5) == [:],
          "\(ranks) ranks, \(rows) rows")
      }
    }
  }

  @Test(
    "Any number of ranks gives the logits and gradients of one, whatever the architecture",
    arguments: ModelCase.fixtures, [5, 12, 48, 131])
  func partitions(sample: ModelCase, length: Int) throws {
    let (run, expected) = try ModelRun.wellConditioned(sample, rows: 2, length: length)
    for ranks in [2, 3, 4, 8] {
      let results = try run.run(ranks: ranks)
      for (rank, result) in results.enumerated() {
        let error = run.logitsError(result, expected, rank: rank, ranks: ranks)
        #expect(error <= 2e-5, "logits of rank \(rank) of \(ranks)")
      }
      #expect(
        run.wrongGradients(ModelRun.sum(results), expected, tolerance: 2e-5) == [:],
        "\(ranks) ranks")
    }
  }

  @Test(
    "What is compared is well conditioned: a last bit of the weights does not show",
    arguments: ModelCase.all, lengths)
  func conditioned(sample: ModelCase, length: Int) throws {
    for rows in [1, 3] {
      let run = try ModelRun(sample, rows: rows, length: length)
      let expected = run.expected()
      var draws = Draws(seed: 3)
      let changed = run.expected { 1 + 0x1p-24 * (2 * draws.uniform() - 1) }
      for (name, gradient) in changed.gradients {
        let error = relativeError(
          gradient.numbers.map { Float($0) }, expected.gradients[name]!.numbers)
        #expect(error < 4e-6, "\(name), \(rows) rows")
      }
    }
  }

  @Test(
    "Recomputing blocks changes no bit and sends no message more",
    arguments: ModelCase.all + ModelCase.families + ModelCase.fixtures, [1, 2, 4])
  func recompute(sample: ModelCase, ranks: Int) throws {
    let run = try ModelRun(sample, rows: 2, length: 75)
    #expect(try run.run(ranks: ranks) == run.run(ranks: ranks, recompute: true))
  }

  @Test(
    "The same run twice is bitwise equal", arguments: [ModelCase.all[1]] + ModelCase.families,
    [1, 3])
  func repeats(sample: ModelCase, ranks: Int) throws {
    let run = try ModelRun(sample, rows: 2, length: 75)
    #expect(try run.run(ranks: ranks) == run.run(ranks: ranks))
  }

  @Test(
    "The names of a weight file name every parameter once",
    arguments: ModelCase.all + ModelCase.families)
  func names(sample: ModelCase) throws {
    let model = try sample.model()
    #expect(Set(model.tensors.map(\.name)).count == model.tensors.count)
    // A tensor may take rows of several parameters in turn.
    let pieces = model.tensors.flatMap(\.pieces)
    var named: [Int] = []
    for index in pieces.map(\.parameter.index) where !named.contains(index) { named.append(index) }
    #expect(named == Array(model.table.entries.indices))
    for parameter in model.table.parameters {
      let elements = pieces.filter { $0.parameter == parameter }.map(\.elements.count)
      #expect(elements.reduce(0, +) == model.table[parameter].shape.count)
    }
    for tensor in model.tensors {
      #expect(
        tensor.shape.count == tensor.pieces.reduce(0) { $0 + $1.elements.count },
        "\(tensor.name)")
    }
  }
}
