import Kernels
import Measurement
import Tensors

extension Tape {
  /// A projection: `y = x Wᵀ (+ bias) (+ residual)`.
  ///
  /// - Parameters:
  ///   - x: Shape `[…, input]`.
  ///   - weight: Shape `[output, input]`.
  ///   - bias: Shape `[output]`, or nil.
  ///   - residual: Shape `[…, output]`, added to the product, or nil.
  /// - Returns: Shape `[…, output]`.
  public func linear(
    _ x: Variable, _ weight: Parameter, bias: Parameter? = nil, residual: Variable? = nil
  ) -> Variable {
    let (out, input) = (parameters.table[weight].shape[0], parameters.table[weight].shape[1])
    let n = x.shape.rows
    precondition(x.shape.columns == input, "x \(x.shape) does not fit a weight [\(out), \(input)]")
    let y = Tensor(Shape(x.shape.dimensions.dropLast() + [out]), pool: pool)
    workspace.compute(.projections) {
      var beta: Float = 0
      if let residual {
        y.pointer.update(from: residual.value.pointer, count: y.count)
        beta = 1
      }
      if let bias {
        let b = parameters.value(bias)
        for row in 0..<n {
          let y = y.pointer + row * out
          for i in 0..<out { y[i] = beta == 0 ? b[i] : y[i] + b[i] }
        }
        beta = 1
      }
      BLAS.multiply(
        x.value.pointer, lda: input, parameters.value(weight), transposeB: true, ldb: input,
        into: y.pointer, ldc: out, m: n, n: out, k: input, beta: beta)
    }
    let inputs = [x] + (residual.map { [$0] } ?? [])
    return record(y, inputs: inputs, always: true) { [unowned self] dy in
      // Outside `compute`, which a rehearsal leaves out.
      let target = x.needsGradient ? x.gradientTarget(in: workspace) : nil
      workspace.compute(.projections) {
        if let (dx, accumulate) = target {
          BLAS.multiply(
            dy.pointer, lda: out, parameters.value(weight), ldb: input, into: dx.pointer,
            ldc: input, m: n, n: input, k: out, beta: accumulate ? 1 : 0)
        }
        if n > 0 {
          BLAS.multiply(
            dy.pointer, transposeA: true, lda: out, x.value.pointer, ldb: input,
            into: parameters.gradient(weight), ldc: input, m: out, n: input, k: n, beta: 1)
        }
        if let bias {
          let db = parameters.gradient(bias)
          for row in 0..<n {
            let dy = dy.pointer + row * out
            for i in 0..<out { db[i] += dy[i] }
          }
        }
      }
      residual?.add(gradient: dy, in: workspace)
    }
  }
}
