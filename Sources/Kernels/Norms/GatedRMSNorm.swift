import Tensors

/// Root-mean-square normalisation of rows with a gate: `y = x · rsqrt(mean(x²) + eps) ⊙ w ⊙ act(z)`, and its twin.
///
/// - Source: RetNet (arXiv 2307.08621), equation 8; Gated Linear Attention (2312.06635), section 4.4.
package struct GatedRMSNorm: Sendable {
  /// What can be applied to the gate.
  package static let activations: Set<Activation> = [.silu, .sigmoid]

  /// Numbers normalised together.
  package let columns: Int
  /// Added to the mean square.
  package let epsilon: Float
  /// What is applied to the gate.
  package let activation: Activation

  package init(columns: Int, epsilon: Float, activation: Activation) {
    precondition(Self.activations.contains(activation), "a gate's \(activation)")
    (self.columns, self.epsilon, self.activation) = (columns, epsilon, activation)
  }

  /// Normalises and gates rows.
  ///
  /// - Parameters:
  ///   - x: Shape `[rows, columns]`.
  ///   - gate: `z`, likewise.
  ///   - weight: Shape `[columns]`.
  ///   - inverse: Receives each row's `rsqrt(mean(x²) + eps)`, shape `[rows]`.
  package func forward(
    _ x: UnsafePointer<Float>, gate: UnsafePointer<Float>, weight: UnsafePointer<Float>,
    into y: UnsafeMutablePointer<Float>, inverse: UnsafeMutablePointer<Float>, rows: Range<Int>
  ) {
    let n = columns
    for row in rows {
      let (x, z, y) = (x + row * n, gate + row * n, y + row * n)
      let r = 1 / (Reduction.dot(x, x, n) / Float(n) + epsilon).squareRoot()
      inverse[row] = r
      switch activation {
      case .silu: for i in 0..<n { y[i] = x[i] * r * weight[i] * VectorMath.silu(z[i]) }
      default: for i in 0..<n { y[i] = x[i] * r * weight[i] * VectorMath.sigmoid(z[i]) }
      }
    }
  }

  /// With `u = dy ⊙ act(z)` and `x̂ = x r`: `dz = dy ⊙ w ⊙ x̂ ⊙ act'(z)`, `dw += Σ_rows u ⊙ x̂`, and
  /// `dx = r (u ⊙ w − x̂ · mean(u ⊙ w ⊙ x̂))`.
  ///
  /// - Parameters:
  ///   - dx: Written, or added to where `accumulate.x`; `dGate` alike.
  ///   - dWeight: Shape `[columns]`, added to.
  ///   - scratch: Room for `columns` numbers.
  package func backward(
    _ x: UnsafePointer<Float>, gate: UnsafePointer<Float>, weight: UnsafePointer<Float>,
    inverse: UnsafePointer<Float>, _ dy: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>, dGate: UnsafeMutablePointer<Float>,
    dWeight: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>, rows: Range<Int>,
    accumulate: (x: Bool, gate: Bool)
  ) {
    let n = columns
    for row in rows {
      let (x, z, dy) = (x + row * n, gate + row * n, dy + row * n)
      let (dx, dz, r) = (dx + row * n, dGate + row * n, inverse[row])
      switch activation {
      case .silu:
        for i in 0..<n {
          let normed = x[i] * r
          let d = dy[i] * weight[i] * normed * VectorMath.siluDerivative(z[i])
          dz[i] = accumulate.gate ? dz[i] + d : d
          let u = dy[i] * VectorMath.silu(z[i])
          dWeight[i] = dWeight[i].addingProduct(u, normed)
          scratch[i] = u * weight[i]
        }
      default:
        for i in 0..<n {
          let normed = x[i] * r
          let s = VectorMath.sigmoid(z[i])
          let d = dy[i] * weight[i] * normed * s * VectorMath.sigmoid(-z[i])
          dz[i] = accumulate.gate ? dz[i] + d : d
          let u = dy[i] * s
          dWeight[i] = dWeight[i].addingProduct(u, normed)
          scratch[i] = u * weight[i]
        }
      }
      let c = -Reduction.dot(scratch, x, n) / Float(n) * r * r * r
      if accumulate.x {
        for i in 0..<n { dx[i] = dx[i].addingProduct(scratch[i], r).addingProduct(x[i], c) }
      } else {
        for i in 0..<n { dx[i] = (scratch[i] * r).addingProduct(x[i], c) }
      }
    }
  }
}
