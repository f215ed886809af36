import Tensors

extension Tape {
  /// Each head's numbers times the rows of a weight that are the head's, for passes that remember nothing.
  ///
  /// Concretely: `y_h = [x_h W_h, rest_h]`, or with `transposed` `y_h = [x_h W_hᵀ, rest_h]`, in fp32; where the weight has an
  /// adapter, `W_h + s B_h A` stands for `W_h`.
  ///
  /// - Parameters:
  ///   - x: Shape `[N, heads·(a + c)]`; the last c numbers of a head stay as they are.
  ///   - weight: Shape `[heads·e, r]`; `a` is e, or r where transposed.
  /// - Returns: Shape `[N, heads·(b + c)]`, where b is r, or e where transposed.
  package func headProducts(
    _ x: Variable, _ weight: Parameter, heads: Int, transposed: Bool = false
  ) -> Variable {
    let shape = parameters.table[weight].shape
    let (n, r, each) = (x.shape.rows, shape.columns, shape.rows / heads)
    let (a, b) = transposed ? (r, each) : (each, r)
    let rest = x.shape.columns / heads - a
    precondition(
      !isRecording && shape.rows % heads == 0
        && x.shape.columns % heads == 0 && rest >= 0,
      "\(heads) heads of x \(x.shape) and a weight \(shape)")
    let (wide, narrow) = (heads * (a + rest), heads * (b + rest))
    let y = Tensor([n, narrow], pool: pool)
    let low = parameters.table.adapters[weight].map { adapter in
      let rank = parameters.table[adapter.down].shape.rows
      return (adapter: adapter, rank: rank, hidden: Tensor([n, rank], pool: pool))
    }
    let input = workspace.tensor(of: x.stored, x.shape)
    workspace.counters.note(
      .projections, productOperations: 2 * Double(n) * Double(a) * Double(b) * Double(heads))
    workspace.compute(.projections) {
      let w = parameters.value(weight)
      for head in 0..<heads {
        let (from, to) = (input.pointer + head * (a + rest), y.pointer + head * (b + rest))
        BLAS.multiply(
          from, lda: wide, w + head * each * r, transposeB: transposed, ldb: r, into: to,
          ldc: narrow, m: n, n: b, k: a)
        if let (adapter, rank, hidden) = low {
          let (down, up) = (
            parameters.value(adapter.down), parameters.value(adapter.up) + head * each * rank
          )
          // Shapes: A [rank, r], B [e, rank].
          BLAS.multiply(
            from, lda: wide, transposed ? down : up, transposeB: transposed,
            ldb: transposed ? r : rank, into: hidden.pointer, ldc: rank, m: n, n: rank, k: a)
          BLAS.multiply(
            hidden.pointer, lda: rank, transposed ? up : down, transposeB: transposed,
            ldb: transposed ? rank : r, into: to, ldc: narrow, m: n, n: b, k: rank,
            alpha: adapter.scale, beta: 1)
        }
        guard rest > 0 else { continue }
        for row in 0..<n {
          (to + row * narrow + b).update(from: from + row * wide + a, count: rest)
        }
      }
    }
    return Variable(y, needsGradient: false)
  }
}
