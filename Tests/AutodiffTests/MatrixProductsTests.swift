import Synchronization
import Tensors
import Testing

@testable import Autodiff

/// Numbers that bf16 can hold, rounded to the nearest, ties to even.
private func rounded(_ number: Float) -> Float {
  let bits = number.bitPattern
  return Float(bitPattern: (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000)
}

/// Products with weights that are rounded to bf16.
private final class RoundedProducts: MatrixProducts {
  private let plain = OpenBLASProducts()
  var operands: Operand.Kind { .float }
  /// Bytes of weights that were in use when each form was made.
  let inUse = Mutex<[Int]>([])

  func form(
    of values: UnsafePointer<Float>, rows: Int, columns: Int, for direction: ProductDirection,
    in workspace: Workspace
  ) -> Buffer? {
    let bytes = workspace.pool.statistics.byKind[BufferKind.weights.rawValue]
    inUse.withLock { $0.append(bytes) }
    let form = Buffer(count: rows * columns, pool: workspace.pool, kind: .weights)
    workspace.run { for i in 0..<rows * columns { form.pointer[i] = rounded(values[i]) } }
    return form
  }

  private func formed(_ weight: WeightMatrix) -> WeightMatrix {
    WeightMatrix(
      weight.form!.pointer, for: weight.direction, rows: weight.rows, columns: weight.columns)
  }

  func output(_ x: Operand, _ weight: WeightMatrix, into y: Operand, count: Int, beta: Float) {
    plain.output(x, formed(weight), into: y, count: count, beta: beta)
  }

  func inputGradient(
    _ dy: Operand, _ weight: WeightMatrix, into dx: UnsafeMutablePointer<Float>, count: Int,
    beta: Float
  ) { plain.inputGradient(dy, formed(weight), into: dx, count: count, beta: beta) }

  func addWeightGradient(
    _ dy: Operand, _ x: Operand, to dW: UnsafeMutablePointer<Float>, rows: Int, columns: Int,
    count: Int
  ) { plain.addWeightGradient(dy, x, to: dW, rows: rows, columns: columns, count: count) }
}

@Suite("Products with weights in another form")
struct MatrixProductsTests {
  init() { BLAS.setThreads(1) }

  private struct Result: Equatable {
    var losses, dx, gradients: [Float]
  }

  /// Two regions of a projection each, and a head that reads the first one's weight.
  private func run(
    _ workspace: Workspace, recompute: Bool, weight: (Float) -> Float
  ) throws -> Result {
    var table = ParameterTable()
    var weights: [Parameter] = []
    for region in 0..<3 {
      table.addRegion("r\(region)")
      weights.append(
        table.add("w\(region)", [5, 5], role: .matrix, initialization: .normal(deviation: 1)))
    }
    let store = WholeParameters(table: table, gradients: true, pool: workspace.pool)
    table.initialize(0..<table.count, seed: 3, into: store.values.pointer)
    for i in 0..<table.count { store.values.pointer[i] = weight(store.values.pointer[i]) }
    store.clearGradients()
    let tape = Tape(workspace: workspace, parameters: store, recording: true)
    let numbers = (0..<20).map { Float($0 * 7 % 11) / 8 - 0.5 }
    let x = Variable(Tensor([4, 5], numbers, pool: workspace.pool), needsGradient: true)
    var y = x
    for region in 0..<2 {
      y = try tape.region(region, recompute: recompute, input: y) {
        try tape.linear($0!, weights[region])
      }
    }
    var losses: [Float] = []
    let loss = try tape.region(
      2, borrowing: [0], recompute: recompute, formsGradients: true, input: y
    ) {
      let z = try tape.linear($0!, weights[2])
      let (loss, result) = try tape.crossEntropy(z, weights[0], targets: [0, 3, -1, 4])
      losses = result.losses
      return loss
    }
    try tape.backward(from: loss, gradient: Tensor([1], [1], pool: workspace.pool))
    return Result(
      losses: losses, dx: x.gradient!.numbers,
      gradients: (0..<table.count).map { store.gradients!.pointer[$0] })
  }

  @Test("give what products in fp32 give with such weights", arguments: [false, true])
  func rounding(recompute: Bool) throws {
    let inForm = try run(
      Workspace { _, _ in RoundedProducts() }, recompute: recompute, weight: { $0 })
    let plain = try run(Workspace(), recompute: recompute, weight: rounded)
    #expect(inForm == plain)
    #expect(try run(Workspace(), recompute: recompute, weight: { $0 }) != plain)
  }

  @Test("hold a region's forms no longer than the region is acquired", arguments: [false, true])
  func lifetime(recompute: Bool) throws {
    let products = RoundedProducts()
    let workspace = Workspace { _, _ in products }
    _ = try run(workspace, recompute: recompute, weight: { $0 })
    #expect(workspace.pool.statistics.byKind[BufferKind.weights.rawValue] == 0)
    let (form, weights) = (
      BufferPool.sizeClass(bytes: 4 * 25), BufferPool.sizeClass(bytes: 4 * 75)
    )
    // Forward a region holds its own form, the head three, one of them for the way back; and backward again.
    let forms = products.inUse.withLock { $0 }.map { ($0 - weights) / form }
    #expect(forms.max() == 3)
    // Where nothing is recomputed the head stays acquired until it has been differentiated.
    #expect(forms.count == (recompute ? 2 + 2 + 4 + 2 * 2 : 2 + 4 + 2))
  }
}
