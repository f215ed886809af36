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
    let (least, most) = (limits.lowerBound, limits.upperBound)
    sums(into: dBias) { sums, d in
      for row in rows {
        let (a, ds, da) = (a + row * heads, ds + row * heads, da + row * heads)
        for h in 0..<heads {
          let step = VectorMath.softplus(a[h] + bias[h])
          let slope = ds[h] * VectorMath.sigmoid(a[h] + bias[h])
          d[h] = step < least ? 0 : (step > most ? 0 : slope)
        }
        for h in 0..<heads { sums[h] += Double(d[h]) }
        write(d, to: da, accumulate)
      }
    }
  }

  /// `g = −e^A s` of some rows.
  package func decay(
    _ s: UnsafePointer<Float>, rate: UnsafePointer<Float>, into g: UnsafeMutablePointer<Float>,
    rows: Range<Int>
  ) {
    for row in rows {
      let (s, g) = (s + row * heads, g + row * heads)
      for h in 0..<heads { g[h] = -VectorMath.exp(rate[h]) * s[h] }
    }
  }

  /// `ds (+)= −dg e^A`; `dA += Σ_n dg ⊙ g`, summed in Double.
  package func decayBackward(
    _ g: UnsafePointer<Float>, rate: UnsafePointer<Float>, _ dg: UnsafePointer<Float>,
    into ds: UnsafeMutablePointer<Float>, dRate: UnsafeMutablePointer<Float>, rows: Range<Int>,
    accumulate: Bool
  ) {
    sums(into: dRate) { sums, d in
      for row in rows {
        let (g, dg, ds) = (g + row * heads, dg + row * heads, ds + row * heads)
        for h in 0..<heads {
          // A clamped log decay has no gradient, and may be infinite.
          sums[h] += dg[h] == 0 ? 0 : Double(dg[h]) * Double(g[h])
        }
        for h in 0..<heads { d[h] = -dg[h] * VectorMath.exp(rate[h]) }
        write(d, to: ds, accumulate)
      }
    }
  }

  /// Adds to `gradient` sums of heads over rows, in Double; rows are gone through one after another, as they lie in memory.
  ///
  /// - Parameter body: Has the sums, and room for a row.
  private func sums(
    into gradient: UnsafeMutablePointer<Float>,
    _ body: (UnsafeMutablePointer<Double>, UnsafeMutablePointer<Float>) -> Void
  ) {
    withUnsafeTemporaryAllocation(of: Double.self, capacity: heads) { memory in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: heads) { row in
        guard let sums = memory.baseAddress, let row = row.baseAddress else { return }
        sums.update(repeating: 0, count: heads)
        body(sums, row)
        for h in 0..<heads { gradient[h] += Float(sums[h]) }
      }
    }
  }

  private func write(
    _ d: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float>, _ accumulate: Bool
  ) {
    guard accumulate else { return target.update(from: d, count: heads) }
    for h in 0..<heads { target[h] += d[h] }
  }
}
