import Tensors

/// A log decay from a projection: `g = max(log σ(x) / divisor, least)`, and its twin.
///
/// - Source: Gated Linear Attention (arXiv 2312.06635), section 4.4, where the divisor is 16.
public struct LogSigmoidGate: Sendable {
  /// What the logarithm is divided by.
  public let divisor: Float
  /// The least log decay; −∞ for none.
  public let least: Float

  /// A gate; its log decays are not below `least`.
  public init(divisor: Float, least: Float = -.infinity) {
    (self.divisor, self.least) = (divisor, least)
  }

  /// `g_i = max(log σ(x_i) / divisor, least)`.
  public func forward(
    _ x: UnsafePointer<Float>, into g: UnsafeMutablePointer<Float>, count: Int
  ) {
    let (factor, least) = (1 / divisor, least)
    for i in 0..<count {
      let value = VectorMath.logSigmoid(x[i]) * factor
      g[i] = value < least ? least : value
    }
  }

  /// `dx_i (+)= dg_i σ(−x_i) / divisor`, or 0 where the log decay was below `least`.
  public func backward(
    _ x: UnsafePointer<Float>, _ dg: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>,
    count: Int, accumulate: Bool
  ) {
    let (factor, least) = (1 / divisor, least)
    for i in 0..<count {
      let isCut = VectorMath.logSigmoid(x[i]) * factor < least
      let d = isCut ? 0 : dg[i] * VectorMath.sigmoid(-x[i]) * factor
      dx[i] = accumulate ? dx[i] + d : d
    }
  }
}

/// A log decay per head from a step size: `g = −e^A softplus(a + b)`, and its twin.
///
/// Glossary: `a [N, H]` a projection, `A [H]` the logarithm of a rate, `b [H]` a bias of the step.
///
/// - Source: Mamba-2 (arXiv 2405.21060); Gated DeltaNet (2412.06464).
public enum SoftplusGate {
  /// `g_nh = −e^{A_h} softplus(a_nh + b_h)`.
  public static func forward(
    _ a: UnsafePointer<Float>, rate: UnsafePointer<Float>, bias: UnsafePointer<Float>,
    into g: UnsafeMutablePointer<Float>, rows: Range<Int>, heads: Int
  ) {
    for row in rows {
      let (a, g) = (a + row * heads, g + row * heads)
      for h in 0..<heads { g[h] = -VectorMath.exp(rate[h]) * VectorMath.softplus(a[h] + bias[h]) }
    }
  }

  /// `da (+)= −dg e^A σ(a + b)`; `db += Σ_n da`; `dA += Σ_n dg ⊙ g`, both summed in Double.
  public static func backward(
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
