import Autodiff
import Foundation
import Kernels
import ReferenceMath
import Tensors
import Testing

/// An op on rows of numbers and its reference, with the shapes of the weights it reads.
struct MixerOperation: CustomTestStringConvertible, Sendable {
  let testDescription: String
  /// How many inputs there are.
  var inputs = 1
  /// Numbers in each weight.
  var weights: [Int] = []
  let run: @Sendable (Tape, [Variable], [Parameter]) -> Variable
  /// Of the same inputs, `[N, columns]`, and weights.
  let reference: @Sendable ([Term], [Term]) -> Term

  /// Columns of every input: three heads of five.
  static let columns = 15
  static let width = 5

  /// A reference of rows, applied to each head.
  private static func byHead(_ x: Term, _ body: (Term) -> Term) -> Term {
    body(x.reshaped(x.rows * columns / width, width)).reshaped(x.rows, columns)
  }

  static let all = [
    MixerOperation(
      testDescription: "relu", run: { tape, x, _ in tape.relu(x[0]) },
      reference: { x, _ in x[0].relu }),
    MixerOperation(
      testDescription: "elu plus one", run: { tape, x, _ in tape.eluPlusOne(x[0]) },
      reference: { x, _ in x[0].elu.plus(1) }),
    MixerOperation(
      testDescription: "silu", run: { tape, x, _ in tape.silu(x[0]) },
      reference: { x, _ in x[0].silu }),
    MixerOperation(
      testDescription: "twice sigmoid", run: { tape, x, _ in tape.sigmoid(x[0], scale: 2) },
      reference: { x, _ in x[0].sigmoid.scaled(by: 2) }),
    MixerOperation(
      testDescription: "log sigmoid gate",
      run: { tape, x, _ in tape.logSigmoidGate(x[0], divisor: 16) },
      reference: { x, _ in x[0].logSigmoid.scaled(by: 1 / 16.0) }),
    MixerOperation(
      testDescription: "log sigmoid gate with a least value",
      run: { tape, x, _ in tape.logSigmoidGate(x[0], divisor: 16, least: -0.1) },
      reference: { x, _ in
        x[0].logSigmoid.scaled(by: 1 / 16.0).map({ max($0, -0.1) }) { g, _ in g > -0.1 ? 1 : 0 }
      }),
    MixerOperation(
      testDescription: "softplus gate", weights: [columns, columns],
      run: { tape, x, w in tape.softplusGate(x[0], rate: w[0], bias: w[1]) },
      reference: { x, w in
        let rate = w[0].exp.asRow.repeated(x[0].rows)
        return (rate * (x[0] + w[1].asRow.repeated(x[0].rows)).softplus).scaled(by: -1)
      }),
    MixerOperation(
      testDescription: "softplus gate of channels", weights: [columns / width, columns],
      run: { tape, x, w in tape.softplusGate(x[0], rate: w[0], bias: w[1]) },
      reference: { x, w in
        let rate = w[0].exp.asRow.spread(width).repeated(x[0].rows)
        return (rate * (x[0] + w[1].asRow.repeated(x[0].rows)).softplus).scaled(by: -1)
      }),
    MixerOperation(
      testDescription: "bounded gate of channels", weights: [columns / width, columns],
      run: { tape, x, w in tape.boundedGate(x[0], rate: w[0], bias: w[1], least: -5) },
      reference: { x, w in
        let rate = w[0].exp.asRow.spread(width).repeated(x[0].rows)
        return (rate * (x[0] + w[1].asRow.repeated(x[0].rows))).sigmoid.scaled(by: -5)
      }),
    MixerOperation(
      testDescription: "refined gate", inputs: 2,
      run: { tape, x, _ in tape.refinedGate(x[0], refinedBy: x[1]) },
      reference: { x, _ in
        let (g, r) = (x[0].sigmoid, x[1].sigmoid)
        let rest = g.scaled(by: -1).plus(1)
        let refined = r * (rest * rest).scaled(by: -1).plus(1)
        return (r.scaled(by: -1).plus(1) * g * g + refined).log
      }),
    MixerOperation(
      testDescription: "complement of a decay",
      run: { tape, x, _ in tape.decayComplement(tape.logSigmoidGate(x[0], divisor: 4)) },
      reference: { x, _ in x[0].logSigmoid.scaled(by: 0.25).exp.scaled(by: -1).plus(1) }),
    MixerOperation(
      testDescription: "normalised exponentials",
      run: { tape, x, _ in tape.normalizedExponential(x[0], width: width) },
      reference: { x, _ in byHead(x[0]) { $0.exp.rmsNorm(epsilon: 0) } }),
    MixerOperation(
      testDescription: "length norm", run: { tape, x, _ in tape.l2Norm(x[0], width: width) },
      reference: { x, _ in byHead(x[0]) { $0.l2Norm(epsilon: 1e-6) } }),
    MixerOperation(
      testDescription: "sum norm of positive numbers",
      run: { tape, x, _ in tape.sumNorm(tape.eluPlusOne(x[0]), width: width) },
      reference: { x, _ in byHead(x[0].elu.plus(1)) { $0.sumNorm } }),
    MixerOperation(
      testDescription: "layer norm of rows", weights: [columns, columns],
      run: { tape, x, w in tape.layerNorm(x[0], weight: w[0], bias: w[1], epsilon: 1e-5) },
      reference: { x, w in
        x[0].layerNorm(epsilon: 1e-5) * w[0].asRow.repeated(x[0].rows)
          + w[1].asRow.repeated(x[0].rows)
      }),
    MixerOperation(
      testDescription: "layer norm of heads", weights: [columns, columns],
      run: { tape, x, w in
        tape.layerNorm(x[0], weight: w[0], bias: w[1], width: width, epsilon: 1e-3)
      },
      reference: { x, w in
        byHead(x[0]) { $0.layerNorm(epsilon: 1e-3) } * w[0].asRow.repeated(x[0].rows)
          + w[1].asRow.repeated(x[0].rows)
      }),
    MixerOperation(
      testDescription: "layer norm without a bias", weights: [columns],
      run: { tape, x, w in tape.layerNorm(x[0], weight: w[0], epsilon: 1e-5) },
      reference: { x, w in x[0].layerNorm(epsilon: 1e-5) * w[0].asRow.repeated(x[0].rows) }),
    MixerOperation(
      testDescription: "layer norm with a bias alone", weights: [columns],
      run: { tape, x, w in tape.layerNorm(x[0], bias: w[0], width: width, epsilon: 1e-5) },
      reference: { x, w in
        byHead(x[0]) { $0.layerNorm(epsilon: 1e-5) } + w[0].asRow.repeated(x[0].rows)
      }),
    MixerOperation(
      testDescription: "layer norm of heads without weights",
      run: { tape, x, _ in tape.layerNorm(x[0], width: width, epsilon: 1e-5) },
      reference: { x, _ in byHead(x[0]) { $0.layerNorm(epsilon: 1e-5) } }),
    MixerOperation(
      testDescription: "squared relu", run: { tape, x, _ in tape.squaredReLU(x[0]) },
      reference: { x, _ in x[0].relu * x[0].relu }),
    MixerOperation(
      testDescription: "hyperbolic tangent", run: { tape, x, _ in tape.tanh(x[0]) },
      reference: { x, _ in x[0].scaled(by: 2).sigmoid.scaled(by: 2).plus(-1) }),
    MixerOperation(
      testDescription: "exponential gate", run: { tape, x, _ in tape.exponentialGate(x[0]) },
      reference: { x, _ in
        x[0].exp.scaled(by: -1).map({ max($0, -80) }) { g, _ in g > -80 ? 1 : 0 }
      }),
    MixerOperation(
      testDescription: "channels times numbers of their own", weights: [columns],
      run: { tape, x, w in tape.channelScale(x[0], w[0]) },
      reference: { x, w in x[0] * w[0].asRow.repeated(x[0].rows) }),
    MixerOperation(
      testDescription: "rows between two others", inputs: 2, weights: [columns],
      run: { tape, x, w in tape.interpolation(x[0], x[1], by: w[0]) },
      reference: { x, w in
        x[0] + (x[1] + x[0].scaled(by: -1)) * w[0].asRow.repeated(x[0].rows)
      }),
    MixerOperation(
      testDescription: "rows between two others by data", inputs: 3,
      run: { tape, x, _ in tape.interpolation(x[0], x[1], by: x[2]) },
      reference: { x, _ in x[0] + (x[1] + x[0].scaled(by: -1)) * x[2] }),
    MixerOperation(
      testDescription: "what a token adds for itself", inputs: 4, weights: [columns],
      run: { tape, x, w in
        tape.headBonus(
          q: x[0], k: x[1], v: x[2], weight: w[0], heads: columns / width, adding: x[3])
      },
      reference: { x, w in
        let product = x[0] * x[1] * w[0].asRow.repeated(x[0].rows)
        let ones = Term(Matrix(width, 1, repeating: 1))
        let rows = product.rows * columns / width
        let sums = product.reshaped(rows, width).times(ones).spread(width)
        return x[3] + sums.reshaped(product.rows, columns) * x[2]
      }),
    MixerOperation(
      testDescription: "norm with a silu gate", inputs: 2, weights: [width],
      run: { tape, x, w in
        tape.gatedRMSNorm(x[0], gate: x[1], weight: w[0], epsilon: 1e-6, activation: .silu)
      },
      reference: { x, w in byHead(x[0]) { $0.rmsNorm(weight: w[0], epsilon: 1e-6) } * x[1].silu }),
    MixerOperation(
      testDescription: "norm with a sigmoid gate", inputs: 2, weights: [width],
      run: { tape, x, w in
        tape.gatedRMSNorm(x[0], gate: x[1], weight: w[0], epsilon: 1e-6, activation: .sigmoid)
      },
      reference: { x, w in
        byHead(x[0]) { $0.rmsNorm(weight: w[0], epsilon: 1e-6) } * x[1].sigmoid
      }),
  ]
}

@Suite("Ops of token mixers")
struct MixerOperationTests {
  /// What went in, as both sides read it.
  private struct Numbers {
    var inputs: [[Float]]
    var weights: [[Float]]
    var seed: [Float]

    init(_ sample: MixerOperation, rows: Int) {
      var draws = Draws(seed: UInt64(rows + 1))
      let count = rows * MixerOperation.columns
      inputs = (0..<sample.inputs).map { _ in draws.normals(count).map { 2 * $0 } }
      weights = sample.weights.map { draws.normals($0) }
      seed = draws.normals(count)
    }
  }

  @Test(
    "Values and all gradients are the reference's, with one thread and with three",
    arguments: MixerOperation.all, [0, 1, 7, 1000])
  func matches(sample: MixerOperation, rows: Int) throws {
    let numbers = Numbers(sample, rows: rows)
    let columns = MixerOperation.columns
    let inputs = numbers.inputs.map { Term(Matrix(rows, columns, $0)) }
    let weights = numbers.weights.map { Term(Matrix(1, $0.count, $0)) }
    let expected = sample.reference(inputs, weights)
    expected.backward(Matrix(rows, columns, numbers.seed))

    for threads in [1, 3] {
      let workspace = Workspace(threads: threads)
      var table = ParameterTable()
      _ = table.addRegion("all")
      let parameters = numbers.weights.enumerated().map { index, weight in
        table.add(
          "\(index)", [weight.count], role: .norm,
          initialization: .indexed { Double(weight[$0]) })
      }
      let store = WholeParameters(table: table, gradients: true, pool: workspace.pool)
      table.initialize(0..<table.count, seed: 0, into: store.values.pointer)
      store.clearGradients()
      let tape = Tape(workspace: workspace, parameters: store, recording: true)
      let x = numbers.inputs.map {
        Variable(Tensor([rows, columns], $0, pool: workspace.pool), needsGradient: true)
      }
      let y = sample.run(tape, x, parameters)
      #expect(relativeError(y.value.numbers, expected.matrix.numbers) <= 1e-6)
      // A gradient that is there already is added to.
      let before = [Float](repeating: 1, count: rows * columns)
      for x in x {
        x.add(
          gradient: Tensor([rows, columns], before, pool: workspace.pool), in: workspace)
      }
      try tape.backward(
        from: y, gradient: Tensor([rows, columns], numbers.seed, pool: workspace.pool))
      for (x, right) in zip(x, inputs) {
        let added = right.gradient.numbers.map { $0 + 1 }
        #expect(relativeError(x.gradient!.numbers, added) <= 1e-5)
      }
      for (parameter, right) in zip(parameters, weights) {
        let gradient = UnsafeBufferPointer(
          start: store.gradient(parameter), count: right.columns)
        #expect(relativeError(Array(gradient), right.gradient.numbers) <= 1e-5)
      }
    }
  }

  @Test("A refined gate keeps its digits where it forgets almost nothing and almost all")
  func refinedGate() throws {
    for (a, b) in [(10, 8), (12, -3), (40, 40), (6, 30), (-20, 20), (-12, -9), (-30, -30)] {
      let workspace = Workspace()
      let store = WholeParameters(table: ParameterTable(), gradients: false, pool: workspace.pool)
      let tape = Tape(workspace: workspace, parameters: store, recording: true)
      let x = [a, b].map {
        Variable(Tensor([1, 1], [Float($0)], pool: workspace.pool), needsGradient: true)
      }
      let log = tape.refinedGate(x[0], refinedBy: x[1])
      let complement = tape.decayComplement(log)
      try tape.backward(
        from: log, gradient: Tensor([1, 1], [1], pool: workspace.pool))
      func sigmoid(_ x: Int) -> Double { 1 / (1 + exp(-Double(x))) }
      let (g, rest, r, other) = (sigmoid(a), sigmoid(-a), sigmoid(b), sigmoid(-b))
      let forgotten = rest * (rest + 2 * g * other)
      let f = g * (g + 2 * r * rest)
      let expected = [
        forgotten < 0.5 ? log1p(-forgotten) : Foundation.log(f), forgotten,
        2 * g * rest * (g * other + r * rest) / f, 2 * g * rest * r * other / f,
      ]
      let actual = [log.value, complement.value, x[0].gradient!, x[1].gradient!].map {
        Double($0.numbers[0])
      }
      for (right, number) in zip(expected, actual) {
        #expect(abs(number / right - 1) < 4e-6, "\(a), \(b): \(actual) for \(expected)")
      }
    }
  }

  @Test("Far from zero nothing overflows")
  func extremes() throws {
    let numbers: [Float] = [-1e4, -200, -90, 0, 90, 200, 1e4]
    let workspace = Workspace()
    var table = ParameterTable()
    _ = table.addRegion("all")
    let weight = table.add("w", [7], role: .norm, initialization: .constant(1))
    let store = WholeParameters(table: table, gradients: true, pool: workspace.pool)
    table.initialize(0..<7, seed: 0, into: store.values.pointer)
    store.clearGradients()
    let operations: [(Tape, Variable) -> Variable] = [
      { $0.logSigmoidGate($1, divisor: 16) }, { $0.eluPlusOne($1) }, { $0.sigmoid($1) },
      { $0.softplusGate($1, rate: weight, bias: weight) }, { $0.l2Norm($1, width: 7) },
      { $0.refinedGate($1, refinedBy: $1) }, { $0.normalizedExponential($1, width: 7) },
      { $0.decayComplement($0.logSigmoidGate($1, divisor: 1)) },
      { $0.gatedRMSNorm($1, gate: $1, weight: weight, epsilon: 1e-6, activation: .silu) },
    ]
    for operation in operations {
      let tape = Tape(workspace: workspace, parameters: store, recording: true)
      let x = Variable(Tensor([1, 7], numbers, pool: workspace.pool), needsGradient: true)
      let y = operation(tape, x)
      try tape.backward(
        from: y,
        gradient: Tensor([1, 7], [Float](repeating: 1, count: 7), pool: workspace.pool))
      #expect(y.value.numbers.allSatisfy { $0.isFinite })
      #expect(x.gradient!.numbers.allSatisfy { $0.isFinite })
    }
  }
}
