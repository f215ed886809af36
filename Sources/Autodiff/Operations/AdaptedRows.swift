import Tensors

/// The rows between an adapter's two factors, and as products read them.
struct HiddenRows {
  /// Their numbers, `[count, rank]`.
  let numbers: Tensor
  /// The same for products.
  let rows: Operand

  /// Takes memory, and is made outside `compute`.
  init(_ count: Int, rank: Int, kind: BufferKind = .activations, in workspace: Workspace) {
    numbers = Tensor([count, rank], pool: workspace.pool, kind: kind)
    rows = workspace.operandRoom(of: numbers, kind: kind)
  }
}

/// What an adapter adds to some rows of a projection: `y += h Bᵀ` with `h = s · x Aᵀ`.
///
/// Made anew in each pass, since it refers to weights that are read only while their region is acquired.
struct AdaptedRows {
  private let adapter: LowRankAdapter
  private let parameters: any ParameterStore
  private let workspace: Workspace
  private let products: any MatrixProducts
  private let down, up: [ProductDirection: WeightMatrix]

  /// The factors' parameters.
  var downParameter: Parameter { adapter.down }
  var upParameter: Parameter { adapter.up }
  /// Numbers of a row of h.
  let rank: Int
  private let input, output: Int

  /// Looks for the adapter of a projection, nil where it has none; may take memory for the forms of weights.
  ///
  /// - Parameter directions: The products that it is made for.
  init?(of weight: Parameter, _ tape: Tape, for directions: [ProductDirection]) {
    guard let adapter = tape.parameters.table.adapters[weight] else { return nil }
    self.adapter = adapter
    (parameters, workspace) = (tape.parameters, tape.workspace)
    products = tape.workspace.products
    func forms(of parameter: Parameter) -> [ProductDirection: WeightMatrix] {
      Dictionary(
        uniqueKeysWithValues: directions.map { ($0, tape.weight(parameter, for: $0)) })
    }
    (down, up) = (forms(of: adapter.down), forms(of: adapter.up))
    let shape = tape.parameters.table[adapter.down].shape
    (rank, input) = (shape[0], shape[1])
    output = tape.parameters.table[adapter.up].shape[0]
  }

  /// Forms h of some rows.
  ///
  /// - Parameters:
  ///   - x: Shape `[count, input]`.
  ///   - h: Receives them, from its row `first` on.
  func hidden(_ x: Operand, into h: HiddenRows, from first: Int = 0, count: Int) {
    products.output(
      x, down[.output]!, into: Operand(h.numbers).from(first * rank), count: count, beta: 0)
    finish(h, first, count: count)
  }

  /// Adds to `y`, shape `[count, output]`, what comes of h from its row `first` on.
  func add(
    _ h: HiddenRows, from first: Int = 0, to y: Operand, count: Int
  ) {
    products.output(h.rows.from(first * rank), up[.output]!, into: y, count: count, beta: 1)
  }

  /// Adds to the gradients of A, B and `x`.
  ///
  /// Concretely: `dB += dyᵀ h`, `dh = s · dy B`, `dA += dhᵀ x`, `dx += dh A`.
  ///
  /// - Parameters:
  ///   - dy: Shape `[count, output]`.
  ///   - x: Shape `[count, input]`; nil where A is frozen.
  ///   - h: Shape `[count, rank]`; nil where B is frozen.
  ///   - dh: Scratch, of which rows from `first` on are used; nil where neither A nor `x` has a gradient.
  ///   - dx: Shape `[count, input]`, or nil.
  ///   - source: Whose rows they are, where gradients of several sources are formed apart.
  func addGradients(
    _ dy: Operand, x: Operand?, h: Operand?, dh: HiddenRows?, from first: Int = 0,
    dx: UnsafeMutablePointer<Float>?, count: Int, source: Int = 0
  ) {
    if let h {
      products.addWeightGradient(
        dy, h, to: parameters.gradient(adapter.up, source: source), rows: output, columns: rank,
        count: count)
    }
    guard let dh else { return }
    products.inputGradient(
      dy, up[.inputGradient]!, into: dh.numbers.pointer + first * rank, count: count, beta: 0)
    finish(dh, first, count: count)
    let rows = dh.rows.from(first * rank)
    if let x {
      products.addWeightGradient(
        rows, x, to: parameters.gradient(adapter.down, source: source), rows: rank,
        columns: input, count: count)
    }
    if let dx {
      products.inputGradient(rows, down[.inputGradient]!, into: dx, count: count, beta: 1)
    }
  }

  /// Multiplies rows by the adapter's factor, and makes them what products read.
  private func finish(_ h: HiddenRows, _ first: Int, count: Int) {
    let numbers = h.numbers.pointer + first * rank
    if adapter.scale != 1 {
      for i in 0..<count * rank { numbers[i] *= adapter.scale }
    }
    workspace.round(numbers, into: h.rows.from(first * rank), count: count * rank)
  }
}
