import Foundation
import Tensors

/// A log decay per head from a step size: `g = −e^A softplus(a + b)`, and its twin.
///
/// Glossary: `a [N, H]` a projection, `A [H]` the logarithm of a rate, `b [H]` a bias of the step.
///
/// - Source: Mamba-2 (arXiv 2405.21060); Gated DeltaNet (2412.06464).
package enum SoftplusGate {
  /// A bias of which softplus makes a step between 0.001 and 0.1, evenly by logarithm, from a number in [0, 1).
  package static func initialBias(_ uniform: Double) -> Double {
    let step = exp(log(0.001) + uniform * log(100))
    return step + log(-expm1(-step))
  }

  /// `g_nh = −e^{A_h} softplus(a_nh + b_h)`.
  package static func forward(
    _ a: UnsafePointer<Float>, rate: UnsafePointer<Float>, bias: UnsafePointer<Float>,
    into g: UnsafeMutablePointer<Float>, rows: Range<Int>, heads: Int
  ) {
    for row in rows {
      let (a, g) = (a + row * heads, g + row * heads)
      for h in 0..<heads { g[h] = -VectorMath.exp(rate[h]) * VectorMath.softplus(a[h] + bias[h]) }
    }
  }

  /// `da (+)= −dg e^A σ(a + b)`; `db += Σ_n da`; `dA += Σ_n dg ⊙ g`, both summed in Double.
  package static func backward(
    _ a: UnsafePointer<Float>, rate: UnsafePointer<Float>, bias: UnsafePointer<Float>,
    _ g: UnsafePointer<Float>, _ dg: UnsafePointer<Float>, into da: UnsafeMutablePointer<Float>,
    dRate: UnsafeMutablePointer<Float>, dBias: UnsafeMutablePointer<Float>, rows: Range<Int>,
    heads: Int, accumulate: Bool
  ) {
    for h in 0..<heads {
      let factor = -VectorMath.exp(rate[h])
      var (rateSum, biasSum) = (0.0, 0.0)
      for row in rows {
        let index = row * heads + h
        let d =
          dg[index] == 0 ? 0 : dg[index] * factor * VectorMath.sigmoid(a[index] + bias[h])
        da[index] = accumulate ? da[index] + d : d
        biasSum += Double(d)
        // A clamped log decay has no gradient, and may be infinite.
        if dg[index] != 0 { rateSum += Double(dg[index]) * Double(g[index]) }
      }
      dRate[h] += Float(rateSum)
      dBias[h] += Float(biasSum)
    }
  }
}
