import Measurement

/// How fast products of a precision by a library are on one thread, now: what the parts of a step are compared with.
///
/// Concretely: the median speed of products with a packed weight of 1024², 1024 rows at a time, each timed by itself.
package struct ProductPeak {
  private static let size = 1024
  private let workspace: Workspace
  private let rows: Operand
  private let weight: WeightMatrix
  private let result: Tensor
  /// What the weight's numbers lie in.
  private let numbers: Tensor
  private var speeds: [Double] = []

  /// Makes the matrices, and runs one product that is not counted.
  package init(_ settings: ProductSettings) {
    workspace = Workspace(products: settings)
    let size = Self.size
    let tensors = (0..<3).map { [pool = workspace.pool] _ in Tensor([size, size], pool: pool) }
    for tensor in tensors { tensor.pointer.update(repeating: 1, count: tensor.count) }
    rows = workspace.operand(of: tensors[0])
    (numbers, result) = (tensors[1], tensors[2])
    weight = WeightMatrix(
      numbers.pointer,
      form: workspace.products.form(
        of: numbers.pointer, rows: size, columns: size, for: .output, in: workspace),
      for: .output, rows: size, columns: size)
    multiply()
  }

  /// Runs and times one product.
  package mutating func run() {
    let start = Clock.seconds
    multiply()
    let size = Double(Self.size)
    speeds.append(2 * size * size * size / (Clock.seconds - start))
  }

  /// The median speed of the products so far, in operations a second.
  package var median: Double {
    precondition(!speeds.isEmpty, "no product was run")
    let sorted = speeds.sorted()
    return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
  }

  private func multiply() {
    let threads = BLAS.threads
    if threads != 1 { BLAS.setThreads(1) }
    workspace.products.output(rows, weight, into: Operand(result), count: Self.size, beta: 0)
    if threads != 1 { BLAS.setThreads(threads) }
  }
}
