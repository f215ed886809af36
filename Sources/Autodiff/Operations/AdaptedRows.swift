import Tensors

/// What an adapter adds to some rows of a projection: `y += h Bᵀ` with `h = s · x Aᵀ`.
///
/// Made anew in each pass, since it refers to weights that are read only while their region is acquired.
struct AdaptedRows {
  private let adapter: LowRankAdapter
  private let parameters: any ParameterStore
  private let products: any MatrixProducts
  private let down, up: WeightMatrix

  /// Looks for the adapter of a projection, nil where it has none; may take memory for the forms of weights.
  init?(of weight: Parameter, _ tape: Tape) {
    guard let adapter = tape.parameters.table.adapters[weight] else { return nil }
    self.adapter = adapter
    (parameters, products) = (tape.parameters, tape.workspace.products)
    (down, up) = (tape.weight(adapter.down), tape.weight(adapter.up))
  }

  /// Numbers of a row of h.
  var rank: Int { down.rows }

  /// Forms h of some rows.
  ///
  /// - Parameters:
  ///   - x: Shape `[count, input]`.
  ///   - h: Shape `[count, rank]`.
  func hidden(_ x: UnsafePointer<Float>, into h: UnsafeMutablePointer<Float>, count: Int) {
    products.output(x, down, into: h, count: count, beta: 0)
    scale(h, count: count)
  }

  /// Adds to `y`, shape `[count, output]`, what comes of h.
  func add(_ h: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>, count: Int) {
    products.output(h, up, into: y, count: count, beta: 1)
  }

  /// Adds to the gradients of A, B and `x`.
  ///
  /// Concretely: `dB += dyᵀ h`, `dh = s · dy B`, `dA += dhᵀ x`, `dx += dh A`.
  ///
  /// - Parameters:
  ///   - dy: Shape `[count, output]`.
  ///   - x: Shape `[count, input]`; nil where A is frozen.
  ///   - h: Shape `[count, rank]`; nil where B is frozen.
  ///   - dh: Scratch, `[count, rank]`; nil where neither A nor `x` has a gradient.
  ///   - dx: Shape `[count, input]`, or nil.
  func addGradients(
    _ dy: UnsafePointer<Float>, x: UnsafePointer<Float>?, h: UnsafePointer<Float>?,
    dh: UnsafeMutablePointer<Float>?, dx: UnsafeMutablePointer<Float>?, count: Int
  ) {
    if let h {
      products.addWeightGradient(
        dy, h, to: parameters.gradient(adapter.up), rows: up.rows, columns: rank, count: count)
    }
    guard let dh else { return }
    products.inputGradient(dy, up, into: dh, count: count, beta: 0)
    scale(dh, count: count)
    if let x {
      products.addWeightGradient(
        dh, x, to: parameters.gradient(adapter.down), rows: rank, columns: down.columns,
        count: count)
    }
    if let dx { products.inputGradient(dh, down, into: dx, count: count, beta: 1) }
  }

  private func scale(_ h: UnsafeMutablePointer<Float>, count: Int) {
    guard adapter.scale != 1 else { return }
    for i in 0..<count * rank { h[i] *= adapter.scale }
  }
}
