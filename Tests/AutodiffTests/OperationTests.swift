import ReferenceMath
import Tensors
import Testing

@testable import Autodiff

@Suite("Ops of the tape")
struct OperationTests {
  init() { BLAS.setThreads(1) }

  /// The output and all gradients, of inputs first.
  struct Result: Equatable {
    var output: [Float]
    var gradients: [[Float]]
  }

  /// Random numbers of the inputs, the parameters and the output's gradient.
  private static func numbers(_ sample: OperationCase) -> (inputs: [[Float]], weights: [[Float]]) {
    var draws = Draws(seed: 9)
    return (
      sample.inputs.map { draws.normals($0.count) },
      sample.parameters.map { draws.normals($0.count) }
    )
  }

  /// What the program gives of `y ⊙ y` of an op's output, or of `y ⊙ y'` of two runs of it.
  func run(
    _ sample: OperationCase, twice: Bool, recompute: Bool = false, constantInputs: Bool = false,
    threads: Int = 1
  ) throws -> Result {
    let (inputs, weights) = Self.numbers(sample)
    var table = ParameterTable()
    table.addRegion("all")
    let parameters = sample.parameters.enumerated().map {
      table.add("p\($0)", $1, role: .matrix, initialization: .constant(0))
    }
    let workspace = Workspace(threads: threads)
    let store = WholeParameters(table: table, gradients: true, pool: workspace.pool)
    store.clearGradients()
    for (parameter, weight) in zip(parameters, weights) {
      store.value(parameter).update(from: weight, count: weight.count)
    }
    let tape = Tape(workspace: workspace, parameters: store, recording: true)
    let variables = zip(sample.inputs, inputs).map {
      Variable(Tensor($0, $1, pool: workspace.pool), needsGradient: !constantInputs)
    }
    // A region has one input; the others are constants of its body, so only it may be recomputed.
    let output = try tape.region(0, recompute: recompute, input: variables.first) { first in
      let inputs = first.map { [$0] + variables.dropFirst() } ?? []
      let y = try sample.program(tape, inputs, parameters)
      return tape.product(y, twice ? try sample.program(tape, inputs, parameters) : y)
    }
    let seed = (0..<output.value.count).map { Float($0 % 5) - 1.5 }
    try tape.backward(
      from: output, gradient: Tensor(output.shape, seed, pool: workspace.pool))
    let none = { (count: Int) in [Float](repeating: 0, count: count) }
    return Result(
      output: output.value.numbers,
      gradients: variables.map { $0.gradient?.numbers ?? none($0.value.count) }
        + parameters.map {
          Array(UnsafeBufferPointer(start: store.gradient($0), count: table[$0].shape.count))
        })
  }

  func expected(_ sample: OperationCase) -> (output: Matrix, gradients: [[Double]]) {
    let (inputs, weights) = Self.numbers(sample)
    func terms(_ shapes: [Shape], _ numbers: [[Float]]) -> [Term] {
      zip(shapes, numbers).map { Term(Matrix($0.rows, $0.columns, $1)) }
    }
    let (x, w) = (terms(sample.inputs, inputs), terms(sample.parameters, weights))
    let y = sample.reference(x, w)
    let output = y * y
    output.backward(
      Matrix(
        output.rows, output.columns,
        (0..<output.matrix.numbers.count).map { Double($0 % 5) - 1.5 }))
    return (output.matrix, (x + w).map(\.gradient.numbers))
  }

  @Test("Outputs and gradients are right", arguments: OperationCase.all, [false, true])
  func right(sample: OperationCase, twice: Bool) throws {
    let result = try run(sample, twice: twice)
    let expected = expected(sample)
    #expect(relativeError(result.output, expected.output.numbers) < 2e-6)
    for (index, (actual, right)) in zip(result.gradients, expected.gradients).enumerated() {
      #expect(relativeError(actual, right) < 2e-6, "gradient \(index)")
    }
  }

  @Test(
    "A region computed again gives the same bits",
    arguments: OperationCase.all.filter { $0.inputs.count < 2 }, [false, true])
  func recomputes(sample: OperationCase, twice: Bool) throws {
    #expect(
      try run(sample, twice: twice, recompute: true) == run(sample, twice: twice))
  }

  @Test("Where inputs need no gradient, weights still get theirs", arguments: OperationCase.all)
  func constantInputs(sample: OperationCase) throws {
    let count = sample.inputs.count
    let constant = try run(sample, twice: false, constantInputs: true)
    #expect(constant.gradients[..<count].allSatisfy { $0.allSatisfy { $0 == 0 } })
    #expect(
      constant.gradients[count...] == (try run(sample, twice: false)).gradients[count...])
  }
}

@Suite("The head")
struct HeadTests {
  init() { BLAS.setThreads(1) }

  @Test(
    "The z-losses of targets and of all positions are added to the gradient, and the gradient that comes in is honoured",
    arguments: [
      (70_000, 33, true, 1.0), (11, 40, false, 1.0), (11, 40, true, -0.25), (70_000, 40, true, 3),
    ], [0, 0.02])
  func weighted(
    _ size: (vocabulary: Int, positions: Int, bias: Bool, seed: Double), everyWeight: Double
  ) throws {
    let (vocabulary, positions, bias, seed) = size
    let (width, zWeight) = (4, 0.01)
    var draws = Draws(seed: 5)
    let x = draws.normals(positions * width)
    let w = draws.normals(vocabulary * width)
    let b = draws.normals(vocabulary)
    let targets = (0..<positions).map {
      Int32($0 % 3 == 1 ? -1 : draws.integer(0...vocabulary - 1))
    }
    let terms = [
      Term(Matrix(positions, width, x)), Term(Matrix(vocabulary, width, w)),
      Term(Matrix(1, vocabulary, b)),
    ]
    let logits = terms[0].projected(by: terms[1], bias: bias ? terms[2] : nil)
    let squares = logits.squaredLogSums(targets)
    let all = logits.squaredLogSums([Int32](repeating: 0, count: positions))
    let loss =
      (logits.crossEntropy(targets) + squares.scaled(by: zWeight)
      + all.scaled(by: everyWeight)).scaled(by: seed)
    loss.backward()

    var table = ParameterTable()
    table.addRegion("head")
    let weight = table.add(
      "w", [vocabulary, width], role: .matrix, initialization: .constant(0))
    let offset = table.add("b", [vocabulary], role: .bias, initialization: .constant(0))
    let workspace = Workspace()
    let store = WholeParameters(table: table, gradients: true, pool: workspace.pool)
    store.clearGradients()
    store.value(weight).update(from: w, count: w.count)
    store.value(offset).update(from: b, count: b.count)
    let tape = Tape(workspace: workspace, parameters: store, recording: true)
    // Half of the weight, for a mean over half as many positions as there are targets.
    tape.logSumPenalty = everyWeight / 2
    tape.targetsPerPosition[Tape.logSum] = 2
    let input = Variable(
      Tensor([positions, width], x, pool: workspace.pool), needsGradient: true)
    let (sum, result) = try tape.crossEntropy(
      input, weight, bias: bias ? offset : nil, targets: targets, zWeight: zWeight)
    try tape.backward(from: sum, gradient: Tensor([1], [Float(seed)], pool: workspace.pool))

    #expect(abs(result.squaredLogSums / squares.matrix[0, 0] - 1) < 1e-6)
    if everyWeight != 0 {
      #expect(abs(result.allSquaredLogSums / all.matrix[0, 0] - 1) < 1e-6)
    }
    let gradients =
      [input.gradient?.numbers ?? []]
      + [weight, offset].map {
        Array(UnsafeBufferPointer(start: store.gradient($0), count: table[$0].shape.count))
      }
    for (actual, term) in zip(gradients, terms) {
      #expect(relativeError(actual, term.gradient.numbers) < 1e-5)
    }
  }

  /// A vocabulary so large that a tile has 16 rows; one that fits in one tile; without and with bias.
  @Test(
    "Logits, losses and gradients are right, tile by tile",
    arguments: [(70_000, 40, false), (11, 40, true), (11, 0, false), (70_000, 33, true)],
    [nil, 12] as [Float?])
  func right(_ size: (vocabulary: Int, positions: Int, bias: Bool), cap: Float?) throws {
    let (vocabulary, positions, bias) = size
    let width = 4
    var draws = Draws(seed: 2)
    let x = draws.normals(positions * width)
    let w = draws.normals(vocabulary * width)
    let b = draws.normals(vocabulary)
    let targets = (0..<positions).map {
      Int32($0 % 3 == 1 ? -1 : draws.integer(0...vocabulary - 1))
    }

    let terms = [
      Term(Matrix(positions, width, x)), Term(Matrix(vocabulary, width, w)),
      Term(Matrix(1, vocabulary, b)),
    ]
    var right = terms[0].projected(by: terms[1], bias: bias ? terms[2] : nil)
    if let cap = cap.map(Double.init) {
      // c tanh(z / c) = 2c σ(2z / c) − c.
      right = right.scaled(by: 2 / cap).sigmoid.scaled(by: 2 * cap).plus(-cap)
    }
    let loss = right.crossEntropy(targets)
    loss.backward()

    var table = ParameterTable()
    table.addRegion("head")
    let weight = table.add(
      "w", [vocabulary, width], role: .matrix, initialization: .constant(0))
    let offset = table.add("b", [vocabulary], role: .bias, initialization: .constant(0))
    let workspace = Workspace()
    let store = WholeParameters(table: table, gradients: true, pool: workspace.pool)
    store.clearGradients()
    store.value(weight).update(from: w, count: w.count)
    store.value(offset).update(from: b, count: b.count)
    let tape = Tape(workspace: workspace, parameters: store, recording: true)
    let input = Variable(
      Tensor([positions, width], x, pool: workspace.pool), needsGradient: true)
    let logits = Tensor([positions, vocabulary], pool: workspace.pool)
    let (sum, result) = try tape.crossEntropy(
      input, weight, bias: bias ? offset : nil, targets: targets, softCap: cap,
      logits: logits.pointer)
    try tape.backward(from: sum, gradient: Tensor([1], [1], pool: workspace.pool))

    #expect(relativeError(logits.numbers, right.matrix.numbers) < 1e-6)
    #expect(abs(result.sum - loss.matrix[0, 0]) <= 1e-6 * abs(loss.matrix[0, 0]))
    #expect(result.targets == targets.count { $0 >= 0 })
    #expect(result.losses.count == positions && result.predictions.count == positions)
    for (position, prediction) in result.predictions.enumerated() {
      let row = right.matrix.rows(position..<position + 1).numbers
      #expect(row[Int(prediction)] == row.max())
    }
    let gradients =
      [input.gradient?.numbers ?? []]
      + [weight, offset].map {
        Array(UnsafeBufferPointer(start: store.gradient($0), count: table[$0].shape.count))
      }
    for (actual, term) in zip(gradients, terms) {
      #expect(relativeError(actual, term.gradient.numbers) < 1e-5)
    }
  }
}
