import ReferenceMath
import Tensors
import Testing

@testable import Autodiff

@Suite("Gradients that sum over tokens")
struct RowSumTests {
  init() { BLAS.setThreads(1) }

  /// Ops whose weights are read by every token, with more tokens than one block of rows has.
  static let cases: [OperationCase] = [
    .init("norm with a weight", [[700, 24]], parameters: [[24]]) { tape, x, w in
      tape.rmsNorm(x[0], weight: w[0], epsilon: 1e-3)
    } reference: { x, w in
      x[0].rmsNorm(weight: w[0], epsilon: 1e-3)
    },
    .init("norm of each head", [[300, 24]], parameters: [[8]]) { tape, x, w in
      tape.rmsNorm(x[0], weight: w[0], width: 8, epsilon: 1e-3)
    } reference: { x, w in
      x[0].reshaped(900, 8).rmsNorm(weight: w[0], epsilon: 1e-3).reshaped(300, 24)
    },
    .init("norm with a gate", [[300, 24], [300, 24]], parameters: [[8]]) { tape, x, w in
      tape.gatedRMSNorm(x[0], gate: x[1], weight: w[0], epsilon: 1e-3, activation: .silu)
    } reference: { x, w in
      x[0].reshaped(900, 8).rmsNorm(weight: w[0], epsilon: 1e-3).reshaped(300, 24) * x[1].silu
    },
    .init("bias", [[700, 7]], parameters: [[5, 7], [5]]) { tape, x, w in
      try tape.linear(x[0], w[0], bias: w[1])
    } reference: { x, w in
      x[0].projected(by: w[0], bias: w[1])
    },
    .init("rate and bias of a decay", [[700, 5]], parameters: [[5], [5]]) { tape, x, w in
      tape.softplusGate(x[0], rate: w[0], bias: w[1])
    } reference: { x, w in
      let rate = w[0].exp.asRow.repeated(700)
      return (rate * (x[0] + w[1].asRow.repeated(700)).softplus).scaled(by: -1)
    },
    .init("embedding", [], parameters: [[7, 96]]) { tape, _, w in
      tape.embedding((0..<700).map { Int32($0 * $0 % 7) }, table: w[0], scale: 1.5)
    } reference: { _, w in
      w[0].embedding((0..<700).map { Int32($0 * $0 % 7) }).scaled(by: 1.5)
    },
  ]

  @Test("They are right, and the same bits with 1, 2 and 3 threads", arguments: cases)
  func sameBits(sample: OperationCase) throws {
    let tests = OperationTests()
    let one = try tests.run(sample, twice: false)
    let expected = tests.expected(sample)
    for (index, (actual, right)) in zip(one.gradients, expected.gradients).enumerated() {
      #expect(relativeError(actual, right) < 1e-6, "gradient \(index)")
    }
    for threads in [2, 3] {
      #expect(try tests.run(sample, twice: false, threads: threads) == one, "\(threads) threads")
    }
  }

  @Test("The head's bias too", arguments: [11, 40_000])
  func headBias(vocabulary: Int) throws {
    let (positions, width) = (90, 4)
    var draws = Draws(seed: 3)
    let (x, w) = (draws.normals(positions * width), draws.normals(vocabulary * width))
    let targets = (0..<positions).map { Int32($0 * 97 % vocabulary) }
    let results = try [1, 2, 3].map { threads in
      var table = ParameterTable()
      table.addRegion("head")
      let weight = table.add(
        "w", [vocabulary, width], role: .matrix, initialization: .constant(0))
      let bias = table.add("b", [vocabulary], role: .bias, initialization: .constant(0))
      let workspace = Workspace(threads: threads)
      let store = WholeParameters(table: table, gradients: true, pool: workspace.pool)
      store.clearGradients()
      store.value(weight).update(from: w, count: w.count)
      store.value(bias).update(repeating: 0, count: vocabulary)
      let tape = Tape(workspace: workspace, parameters: store, recording: true)
      let input = Variable(
        Tensor([positions, width], x, pool: workspace.pool), needsGradient: true)
      _ = try tape.crossEntropy(input, weight, bias: bias, targets: targets)
      return Array(UnsafeBufferPointer(start: store.gradient(bias), count: vocabulary))
    }
    #expect(results[1] == results[0] && results[2] == results[0])
    #expect(abs(results[0].reduce(0) { $0 + Double($1) }) < 1e-3)
  }
}
