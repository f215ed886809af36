import Tensors

/// Steps of heads from a projection, `s = clamp(softplus(a + b))`, log decays from them, `g = −e^A s`, and their twins.
///
/// Glossary: `a s [N, H]`; `A [H]` the logarithm of a rate, `b [H]` a bias of the step.
///
/// - Source: Mamba-2 (arXiv 2405.21060), section 7.
package struct StepSize: Sendable {
  /// `H`.
  package let heads: Int
  /// The least and the greatest step.
  package let limits: ClosedRange<Float>

  package init(heads: Int, limits: ClosedRange<Float>) {
    (self.heads, self.limits) = (heads, limits)
  }

  /// `s` of some rows.
  package func forward(
    _ a: UnsafePointer<Float>, bias: UnsafePointer<Float>, into s: UnsafeMutablePointer<Float>,
    rows: Range<Int>
  ) {
    let (least, most) = (limits.lowerBound, limits.upperBound)
    for row in rows {
      let (a, s) = (a + row * heads, s + row * heads)
      for h in 0..<heads {
        let step = VectorMath.softplus(a[h] + bias[h])
        s[h] = step < least ? least : (step > most ? most : step)
      }
    }
  }

  /// `da (+)= ds σ(a + b)`, 0 beyond the limits; `db += Σ_n` of it, summed in Double.
  package func backward(
    _ a: UnsafePointer<Float>, bias: UnsafePointer<Float>, _ ds: UnsafePointer<Float>,
    into da: UnsafeMutablePointer<Float>, dBias: UnsafeMutablePointer<Float>, rows: Range<Int>,
    accumulate: Bool
  ) {
    for h in 0..<heads {
      var sum = 0.0
      for row in rows {
        let index = row * heads + h
        let x = a[index] + bias[h]
        let d = limits.contains(VectorMath.softplus(x)) ? ds[index] * VectorMath.sigmoid(x) : 0
        da[index] = accumulate ? da[index] + d : d
        sum += Double(d)
      }
      dBias[h] += Float(sum)
    }
  }

  /// `g = −e^A s` of some rows.
  package func decay(
    _ s: UnsafePointer<Float>, rate: UnsafePointer<Float>, into g: UnsafeMutablePointer<Float>,
    rows: Range<Int>
  ) {
    for row in rows {
      for h in 0..<heads { g[row * heads + h] = -VectorMath.exp(rate[h]) * s[row * heads + h] }
    }
  }

  /// `ds (+)= −dg e^A`; `dA += Σ_n dg ⊙ g`, summed in Double.
  package func decayBackward(
    _ g: UnsafePointer<Float>, rate: UnsafePointer<Float>, _ dg: UnsafePointer<Float>,
    into ds: UnsafeMutablePointer<Float>, dRate: UnsafeMutablePointer<Float>, rows: Range<Int>,
    accumulate: Bool
  ) {
    for h in 0..<heads {
      let factor = -VectorMath.exp(rate[h])
      var sum = 0.0
      for row in rows {
        let index = row * heads + h
        let d = dg[index] * factor
        ds[index] = accumulate ? ds[index] + d : d
        // A clamped log decay has no gradient, and may be infinite.
        if dg[index] != 0 { sum += Double(dg[index]) * Double(g[index]) }
      }
      dRate[h] += Float(sum)
    }
  }
}
