import Tensors

/// Momentum whose matrices are made orthogonal before each step, with decoupled weight decay.
///
/// Concretely, for a matrix `[rows, columns]` and the gradient already times its scale: `m ← μ m + g`,
/// `u = g + μ m` (Nesterov), `X = u / (‖u‖ + ε)`, five times `X ← a X + (b A + c A²) X` with `A = X Xᵀ`, which
/// brings all singular values of X near 1, and `w ← (1 − η d) w − η · 0.2 √max(rows, columns) · X`.
///
/// The last factor gives a step the root mean square of a step of AdamW, whatever the matrix's shape: learning
/// rate and decay of AdamW hold for it.
///
/// - Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024), with its quintic;
///   the factor: Liu et al., "Muon is Scalable for LLM Training" (arXiv 2502.16982), equation 4.
package struct Muon: UpdateRule, Equatable {
  /// μ, how much of the momentum stays in a step.
  package let momentum: Double
  /// ε, added to the norm that a matrix is divided by.
  static let epsilon = 1e-7
  /// The quintic's coefficients, of X, A X and A² X.
  static let coefficients: (a: Double, b: Double, c: Double) = (3.4445, -4.7750, 2.0315)
  /// How often the quintic is applied.
  static let iterations = 5

  package init(momentum: Double = 0.95) {
    precondition((0..<1).contains(momentum), "momentum \(momentum)")
    self.momentum = momentum
  }

  package var stateNames: [String] { ["momentum"] }
  package var needsWholeMatrices: Bool { true }

  /// Two matrices, and two squares of the shorter side.
  package func scratchCount(rows: Int, columns: Int) -> Int {
    let side = min(rows, columns)
    return 2 * rows * columns + 2 * side * side
  }

  /// What a matrix's orthogonal direction is multiplied by, beside the learning rate.
  static func scale(rows: Int, columns: Int) -> Double {
    0.2 * Double(max(rows, columns)).squareRoot()
  }

  /// Updates one matrix.
  ///
  /// Its products run on the threads of the BLAS library, the rest on the team's.
  package func update(_ slice: UpdateSlice, _ step: UpdateStep, team: ThreadTeam) -> Bool {
    guard let (rows, columns) = slice.matrix, let scratch = slice.scratch else {
      preconditionFailure("Muon updates whole matrices, not \(slice.range)")
    }
    let count = rows * columns
    precondition(slice.range.count == count, "\(slice.range) is no matrix of \(rows) × \(columns)")
    // Each thread writes a range of its own.
    nonisolated(unsafe) let x = scratch
    let mu = Float(momentum)
    let scale = finite(step.gradientScale)
    team.parallel(count, grain: 1 << 14) { part in
      let (g, m) = (slice.gradients, slice.state[0])
      for i in part {
        let gradient = g[i] * scale
        let sum = gradient.addingProduct(mu, m[i])
        m[i] = sum
        x[i] = gradient.addingProduct(mu, sum)
      }
    }
    let norm = GradientNorm(
      sumOfSquares: GradientNorm.sumOfSquares(UnsafePointer(x), count: count, team: team))
    let factor = finite(1 / (norm.value + Self.epsilon))
    team.parallel(count, grain: 1 << 14) { part in
      for i in part { x[i] *= factor }
    }
    nonisolated(unsafe) let direction = UnsafePointer(
      Self.orthogonalize(x, rows: rows, columns: columns))
    let rate = finite(-step.learningRate * Self.scale(rows: rows, columns: columns))
    return slice.pieces(of: step.decay, team: team) { offset, count, decay in
      let keep = finite(1 - step.learningRate * decay)
      let (w, x) = (slice.weights + offset, direction + offset)
      for i in 0..<count { w[i] = (rate * x[i]).addingProduct(keep, w[i]) }
    }
  }

  /// Brings a matrix's singular values, at most 1, near 1.
  ///
  /// - Parameter scratch: The matrix, then room as `scratchCount` says.
  /// - Returns: Where the result lies in `scratch`.
  private static func orthogonalize(
    _ scratch: UnsafeMutablePointer<Float>, rows: Int, columns: Int
  ) -> UnsafeMutablePointer<Float> {
    let (count, side) = (rows * columns, min(rows, columns))
    var (x, next) = (scratch, scratch + count)
    let gram = scratch + 2 * count
    let polynomial = gram + side * side
    let (a, b, c) = (Float(coefficients.a), Float(coefficients.b), Float(coefficients.c))
    // A tall matrix is multiplied from the right, so that the square is of the shorter side.
    let isTall = rows > columns
    for _ in 0..<iterations {
      BLAS.multiply(
        x, transposeA: isTall, lda: columns, x, transposeB: !isTall, ldb: columns, into: gram,
        ldc: side, m: side, n: side, k: max(rows, columns))
      polynomial.update(from: gram, count: side * side)
      BLAS.multiply(
        gram, lda: side, gram, ldb: side, into: polynomial, ldc: side, m: side, n: side, k: side,
        alpha: c, beta: b)
      next.update(from: x, count: count)
      if isTall {
        BLAS.multiply(
          x, lda: columns, polynomial, ldb: side, into: next, ldc: columns, m: rows, n: columns,
          k: side, beta: a)
      } else {
        BLAS.multiply(
          polynomial, lda: side, x, ldb: columns, into: next, ldc: columns, m: rows, n: columns,
          k: side, beta: a)
      }
      swap(&x, &next)
    }
    return x
  }
}
