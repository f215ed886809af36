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
    DecaySums.add(to: (dRate, dBias), heads: heads, width: width, rows: rows) { sums, row, h in
      let factor = -VectorMath.exp(rate[h])
      let columns = row * heads * width + h * width
      for c in 0..<width {
        let index = columns + c
        let step = a[index] + bias[h * width + c]
        let d = dg[index] == 0 ? 0 : dg[index] * factor * VectorMath.sigmoid(step)
        da[index] = accumulate ? da[index] + d : d
        // A clamped log decay has no gradient, and may be infinite.
        sums.add(d, dg[index] == 0 ? 0 : Double(dg[index]) * Double(g[index]), channel: c)
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
    DecaySums.add(to: (dRate, dBias), heads: heads, width: width, rows: rows) { sums, row, h in
      let factor = VectorMath.exp(rate[h])
      let columns = row * heads * width + h * width
      for c in 0..<width {
        let index = columns + c
        let z = factor * (a[index] + bias[h * width + c])
        let dz = dg[index] * g[index] * VectorMath.sigmoid(-z)
        let d = factor * dz
        da[index] = accumulate ? da[index] + d : d
        sums.add(d, Double(dz) * Double(z), channel: c)
      }
    }
  }
}

/// Sums over rows, in Double, of what the rates and biases of a decay gate get.
private struct DecaySums {
  /// Of a head: one number a channel, and one for the rate.
  let biases: UnsafeMutablePointer<Double>
  var rate = 0.0

  /// Adds a channel's terms.
  @inline(__always)
  mutating func add(_ bias: Float, _ rate: Double, channel: Int) {
    biases[channel] += Double(bias)
    self.rate += rate
  }

  /// Adds every row's terms of every head to the gradients; `body` gives those of one row and head.
  @inline(__always)
  static func add(
    to gradients: (rate: UnsafeMutablePointer<Float>, bias: UnsafeMutablePointer<Float>),
    heads: Int, width: Int, rows: Range<Int>,
    _ body: (_ sums: inout DecaySums, _ row: Int, _ head: Int) -> Void
  ) {
    withUnsafeTemporaryAllocation(of: Double.self, capacity: width) { memory in
      guard let biases = memory.baseAddress else { return }
      for h in 0..<heads {
        biases.update(repeating: 0, count: width)
        var sums = DecaySums(biases: biases)
        for row in rows { body(&sums, row, h) }
        gradients.rate[h] += Float(sums.rate)
        for c in 0..<width { gradients.bias[h * width + c] += Float(biases[c]) }
      }
    }
  }
}
