import Tensors
import Testing

@testable import Autodiff

@Suite("Gradients that products alone read")
struct RoundedGradientTests {
  init() { BLAS.setThreads(1) }

  private static let (count, width) = (3000, 6)

  /// The nearest bf16 number.
  private static func nearest(_ number: Float) -> Float {
    let bits = number.bitPattern
    return Float(bitPattern: (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000)
  }

  private struct Result: Equatable {
    var dx: [Float]
    var gradients: [Float]
  }

  /// The gradients of a program on the projections of `x` by as many weights.
  ///
  /// - Parameters:
  ///   - settings: In bf16, operands are rounded; in fp32 they are so before and after by hand where `rounds`.
  ///   - readers: How the projections are stored.
  private func run(
    _ settings: ProductSettings, weights count: Int, readers: Readers = .products,
    _ program: (Tape, [Variable]) -> Variable
  ) throws -> (result: Result, bytes: Int) {
    var table = ParameterTable()
    table.addRegion("all")
    let weights = (0..<count).map {
      table.add(
        "w\($0)", [Self.width, Self.width], role: .matrix, initialization: .normal(deviation: 1))
    }
    let workspace = Workspace(products: settings)
    let store = WholeParameters(table: table, gradients: true, pool: workspace.pool)
    table.initialize(0..<table.count, seed: 5, into: store.values.pointer)
    store.clearGradients()
    let tape = Tape(workspace: workspace, parameters: store, recording: true)
    let shape: Shape = [Self.count, Self.width]
    let numbers = (0..<shape.count).map { Float($0 * 7919 % 2003 - 1001) / 777 }
    let x = Variable(Tensor(shape, numbers, pool: workspace.pool), needsGradient: true)
    let y = program(tape, try weights.map { try tape.linear(x, $0, for: readers) })
    let seed = (0..<shape.count).map { Float($0 * 104_729 % 1009 - 500) / 311 }
    let gradient = Tensor(shape, seed, pool: workspace.pool)
    let before = workspace.pool.statistics.inUse
    try tape.backward(from: y, gradient: gradient)
    return (
      Result(
        dx: x.gradient!.numbers, gradients: (0..<table.count).map { store.gradients!.pointer[$0] }),
      workspace.pool.statistics.peak - before
    )
  }

  private static let mixed: [ProductSettings] = ProductLibrary.allCases.compactMap {
    try? ProductSettings(.bf16, by: $0)
  }

  @Test("are those that the projection would round itself", arguments: mixed)
  func rounding(settings: ProductSettings) throws {
    // Each op that rounds what it writes, between two projections or on one.
    let programs: [(Int, (Tape, [Variable]) -> Variable)] = [
      (2, { $0.product($1[0], $1[1]) }), (2, { $0.swiGLU(gate: $1[0], $1[1]) }),
      (1, { $0.silu($1[0]) }), (1, { $0.relu($1[0]) }),
    ]
    for (count, program) in programs {
      let found = try run(settings, weights: count, program).result
      // A second op in between takes the gradient in fp32, and hands it on as it is.
      let plain = try run(settings, weights: count) { tape, y in
        program(tape, y.map { tape.handedOn($0) })
      }.result
      #expect(found == plain)
    }
  }

  @Test("of several ops are added up in fp32, whichever comes first", arguments: mixed)
  func sums(settings: ProductSettings) throws {
    // The product's is the last to come, and the first in the way back.
    let both = try run(settings, weights: 2) { tape, y in
      tape.sum(tape.silu(y[0]), tape.product(y[0], y[1]))
    }.result
    let parts = try [0, 1].map { part in
      try run(settings, weights: 2) { tape, y in
        part == 0 ? tape.silu(y[0]) : tape.product(y[0], y[1])
      }.result.gradients
    }
    let sums = zip(parts[0], parts[1]).map { $0 + $1 }
    #expect(difference(both.gradients, sums) < 0.01)
    // A square has one variable on both sides.
    let square = try run(settings, weights: 1) { tape, y in tape.product(y[0], y[0]) }.result
    let twice = try run(settings, weights: 1) { tape, y in
      tape.product(y[0], tape.handedOn(y[0]))
    }.result
    #expect(difference(square.gradients, twice.gradients) < 0.01)
  }

  /// The norm of a difference over that of what is expected.
  private func difference(_ actual: [Float], _ expected: [Float]) -> Float {
    let squares = zip(actual, expected).map { ($0 - $1) * ($0 - $1) }
    return (squares.reduce(0, +) / expected.map { $0 * $0 }.reduce(0, +)).squareRoot()
  }
}

extension Tape {
  /// The value as it is, by an op whose gradient is fp32.
  fileprivate func handedOn(_ x: Variable) -> Variable {
    record(x.stored, x.shape, inputs: [x]) { [unowned self] dy in
      x.add(gradient: dy, in: workspace)
    }
  }
}
