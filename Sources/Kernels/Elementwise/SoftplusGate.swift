import Foundation
import Tensors

/// A log decay from a step size: `g = −e^A softplus(a + b)`, and its twin.
///
/// Glossary: `a [N, H·W]` a projection, `A [H]` the logarithm of a head's rate, `b [H·W]` a bias of the step; W is 1 for
/// a decay per head, or its channels.
///
/// - Source: Mamba-2 (arXiv 2405.21060); Gated DeltaNet (2412.06464); Kimi Linear (2510.26692).
package enum SoftplusGate {
  /// A bias of which softplus makes a step between 0.001 and 0.1, evenly by logarithm, from a number in [0, 1).
  package static func initialBias(_ uniform: Double) -> Double {
    let step = exp(log(0.001) + uniform * log(100))
    return step + log(-expm1(-step))
  }

  /// `g_nc = −e^{A_h} softplus(a_nc + b_c)`.
  package static func forward(
    _ a: UnsafePointer<Float>, rate: UnsafePointer<Float>, bias: UnsafePointer<Float>,
    into g: UnsafeMutablePointer<Float>, rows: Range<Int>, heads: Int, width: Int = 1
  ) {
    let columns = heads * width
    for row in rows {
      let (a, g) = (a + row * columns, g + row * columns)
      for h in 0..<heads {
        let factor = -VectorMath.exp(rate[h])
        for c in h * width..<(h + 1) * width {
          g[c] = factor * VectorMath.softplus(a[c] + bias[c])
        }
      }
    }
  }

  /// `da (+)= −dg e^A σ(a + b)`; `db += Σ_n da`; `dA += Σ_nc dg ⊙ g`, both summed in Double.
  package static func backward(
    _ a: UnsafePointer<Float>, rate: UnsafePointer<Float>, bias: UnsafePointer<Float>,
    _ g: UnsafePointer<Float>, _ dg: UnsafePointer<Float>, into da: UnsafeMutablePointer<Float>,
    dRate: UnsafeMutablePointer<Float>, dBias: UnsafeMutablePointer<Float>, rows: Range<Int>,
    heads: Int, width: Int = 1, accumulate: Bool
  ) {
    DecaySums.add(
      to: (dRate, dBias), of: rate, heads: heads, width: width, rows: rows, into: da, accumulate
    ) { row, factors, terms in
      let columns = heads * width
      let (a, g, dg) = (a + row * columns, g + row * columns, dg + row * columns)
      for c in 0..<columns {
        // A clamped log decay has no gradient, and may be infinite.
        terms.left[c] = dg[c]
        terms.right[c] = dg[c] == 0 ? 0 : g[c]
      }
      for c in 0..<columns {
        let d = -dg[c] * factors[c] * VectorMath.sigmoid(a[c] + bias[c])
        terms.d[c] = dg[c] == 0 ? 0 : d
      }
    }
  }
}

/// A log decay between a least one and 0: `g = least · σ(e^A (a + b))`, and its twin.
///
/// Glossary: as `SoftplusGate`'s.
///
/// - Source: Kimi Linear's code, `lower_bound`.
package enum BoundedGate {
  /// `g_nc = least · σ(e^{A_h} (a_nc + b_c))`.
  package static func forward(
    _ a: UnsafePointer<Float>, rate: UnsafePointer<Float>, bias: UnsafePointer<Float>,
    least: Float, into g: UnsafeMutablePointer<Float>, rows: Range<Int>, heads: Int, width: Int
  ) {
    let columns = heads * width
    for row in rows {
      let (a, g) = (a + row * columns, g + row * columns)
      for h in 0..<heads {
        let factor = VectorMath.exp(rate[h])
        for c in h * width..<(h + 1) * width {
          g[c] = least * VectorMath.sigmoid(factor * (a[c] + bias[c]))
        }
      }
    }
  }

  /// With `z = e^A (a + b)`: `dz = dg g σ(−z)`, `da (+)= e^A dz`, `db += Σ_n da`, `dA += Σ_nc dz z`.
  package static func backward(
    _ a: UnsafePointer<Float>, rate: UnsafePointer<Float>, bias: UnsafePointer<Float>,
    _ g: UnsafePointer<Float>, _ dg: UnsafePointer<Float>, into da: UnsafeMutablePointer<Float>,
    dRate: UnsafeMutablePointer<Float>, dBias: UnsafeMutablePointer<Float>, rows: Range<Int>,
    heads: Int, width: Int, accumulate: Bool
  ) {
    DecaySums.add(
      to: (dRate, dBias), of: rate, heads: heads, width: width, rows: rows, into: da, accumulate
    ) { row, factors, terms in
      let columns = heads * width
      let (a, g, dg) = (a + row * columns, g + row * columns, dg + row * columns)
      for c in 0..<columns { terms.right[c] = factors[c] * (a[c] + bias[c]) }
      for c in 0..<columns {
        terms.left[c] = dg[c] * g[c] * VectorMath.sigmoid(-terms.right[c])
      }
      for c in 0..<columns { terms.d[c] = factors[c] * terms.left[c] }
    }
  }
}

/// Sums over rows, in Double, of what the rates and biases of a decay gate get.
private enum DecaySums {
  /// What a row gives, a number a column.
  struct Terms {
    /// The gradients of the projection and of the bias.
    let d: UnsafeMutablePointer<Float>
    /// Whose product is the gradient of the rate.
    let left, right: UnsafeMutablePointer<Float>
  }

  /// Goes through rows as they lie in memory, and adds what each gives to the gradients.
  ///
  /// - Parameters:
  ///   - rate: The logarithms of the heads' rates.
  ///   - da: Receives, or is added, each row's `d`.
  ///   - body: Has the row and each column's rate, and fills in the row's terms.
  @inline(__always)
  static func add(
    to gradients: (rate: UnsafeMutablePointer<Float>, bias: UnsafeMutablePointer<Float>),
    of rate: UnsafePointer<Float>, heads: Int, width: Int, rows: Range<Int>,
    into da: UnsafeMutablePointer<Float>, _ accumulate: Bool,
    _ body: (_ row: Int, _ factors: UnsafePointer<Float>, _ terms: Terms) -> Void
  ) {
    let columns = heads * width
    withUnsafeTemporaryAllocation(of: Double.self, capacity: 2 * columns) { sums in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: 4 * columns) { room in
        guard let biases = sums.baseAddress, let factors = room.baseAddress else { return }
        let rates = biases + columns
        biases.update(repeating: 0, count: 2 * columns)
        for h in 0..<heads {
          (factors + h * width).update(repeating: VectorMath.exp(rate[h]), count: width)
        }
        let terms = Terms(
          d: factors + columns, left: factors + 2 * columns, right: factors + 3 * columns)
        for row in rows {
          body(row, factors, terms)
          for c in 0..<columns { biases[c] += Double(terms.d[c]) }
          for c in 0..<columns { rates[c] += Double(terms.left[c]) * Double(terms.right[c]) }
          let target = da + row * columns
          if accumulate {
            for c in 0..<columns { target[c] += terms.d[c] }
          } else {
            target.update(from: terms.d, count: columns)
          }
        }
        for h in 0..<heads {
          var sum = 0.0
          for c in h * width..<(h + 1) * width { sum += rates[c] }
          gradients.rate[h] += Float(sum)
        }
        for c in 0..<columns { gradients.bias[c] += Float(biases[c]) }
      }
    }
  }
}
