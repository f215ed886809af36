import Foundation
import Tensors

/// A forget gate that a layer's lower bound keeps from forgetting all: `f = l + (1 − l) σ(x)`, its logarithm and
/// `1 − f`, and their twins.
///
/// Glossary: `l [D]` the layer's bound, `Σ_{1≤m≤i} softmax(θ)_m` over the layers of `θ [L, D]` for layer `i`, so that
/// layer 0 has none and those above forget ever less.
///
/// `l` and `1 − l` are both sums of positive numbers, and `log f` is `log1p(−(1 − f))` near 1 and
/// `logaddexp(log l, log (1 − l) + log σ(x))` elsewhere: no digit is lost where `f` is near 1 or 0.
///
/// Unchecked: its memory is written by `setBounds` alone, before threads read it.
///
/// - Source: HGRN (arXiv 2311.04823), section 3.2.
package struct LowerBoundedGate: @unchecked Sendable {
  /// `D`, channels of a row.
  package let channels: Int
  /// `l`, `log l` and `log (1 − l)`, `1 − l`; `D` floats each.
  private let bound, logBound, logRest, rest: UnsafeMutablePointer<Float>

  /// Floats of memory for the numbers of `D` channels.
  package static func memoryCount(channels: Int) -> Int { 4 * channels }

  /// A gate whose numbers stand in `memory`, written by `setBounds`.
  package init(channels: Int, memory: UnsafeMutablePointer<Float>) {
    self.channels = channels
    bound = memory
    logBound = memory + channels
    logRest = memory + 2 * channels
    rest = memory + 3 * channels
  }

  /// Sets the bounds of a layer.
  ///
  /// - Parameters:
  ///   - theta: `θ`, shape `[layers, D]`; nil for no bound.
  ///   - layer: The layer, from 0.
  package func setBounds(_ theta: UnsafePointer<Float>?, layer: Int, layers: Int) {
    for d in 0..<channels {
      var (lower, upper) = (0.0, 1.0)
      if let theta {
        (lower, upper) = (0, 0)
        Self.softmax(theta + d, stride: channels, layers: layers) { m, share in
          if m >= 1 && m <= layer { lower += share } else { upper += share }
        }
      }
      (bound[d], rest[d]) = (Float(lower), Float(upper))
      (logBound[d], logRest[d]) = (Float(log(lower)), Float(log(upper)))
    }
  }

  /// Calls `body` with each layer and its share of a channel.
  private static func softmax(
    _ theta: UnsafePointer<Float>, stride: Int, layers: Int, _ body: (Int, Double) -> Void
  ) {
    var largest = -Double.infinity
    for m in 0..<layers { largest = max(largest, Double(theta[m * stride])) }
    var sum = 0.0
    for m in 0..<layers { sum += exp(Double(theta[m * stride]) - largest) }
    for m in 0..<layers { body(m, exp(Double(theta[m * stride]) - largest) / sum) }
  }

  /// `g = log f` of some rows.
  package func logarithm(
    _ x: UnsafePointer<Float>, into g: UnsafeMutablePointer<Float>, rows: Range<Int>
  ) {
    for row in rows {
      let (x, g) = (x + row * channels, g + row * channels)
      for d in 0..<channels {
        let key = rest[d] * VectorMath.sigmoid(-x[d])
        let near = Self.log1p(minus: key)
        let own = logRest[d] + VectorMath.logSigmoid(x[d])
        let (most, distance) = (max(own, logBound[d]), (own - logBound[d]).magnitude)
        let far = most + VectorMath.log1p(VectorMath.exp(-distance))
        g[d] = key < 0.5 ? near : far
      }
    }
  }

  /// `log(1 − u)` for `0 ≤ u ≤ 1`, accurate for small `u`.
  @inline(__always)
  private static func log1p(minus u: Float) -> Float {
    let w = 1 - u
    let d = 1 - w
    return d == 0 ? -u : VectorMath.log(w) * (u / d)
  }

  /// `k = 1 − f` of some rows.
  package func complement(
    _ x: UnsafePointer<Float>, into k: UnsafeMutablePointer<Float>, rows: Range<Int>
  ) {
    for row in rows {
      let (x, k) = (x + row * channels, k + row * channels)
      for d in 0..<channels { k[d] = rest[d] * VectorMath.sigmoid(-x[d]) }
    }
  }

  /// `dx (+)= dg ∂g/∂x`, and `sums += Σ_n dg ∂g/∂log l`.
  package func logarithmBackward(
    _ x: UnsafePointer<Float>, _ dg: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>,
    sums: UnsafeMutablePointer<Float>, rows: Range<Int>, accumulate: Bool
  ) {
    for row in rows {
      let at = row * channels
      let (x, dg, dx) = (x + at, dg + at, dx + at)
      for d in 0..<channels {
        let (open, closed) = (VectorMath.sigmoid(x[d]), VectorMath.sigmoid(-x[d]))
        let own = rest[d] * open
        let all = bound[d] + own
        // Where nothing is left of f, it is σ(x) alone.
        let share = all == 0 ? 1 : own / all
        let y = dg[d] * closed * share
        dx[d] = accumulate ? dx[d] + y : y
        sums[d] += all == 0 ? 0 : dg[d] * closed * (bound[d] / all)
      }
    }
  }

  /// `dx (+)= dk ∂k/∂x`, and `sums += Σ_n dk ∂k/∂log l`.
  package func complementBackward(
    _ x: UnsafePointer<Float>, _ dk: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>,
    sums: UnsafeMutablePointer<Float>, rows: Range<Int>, accumulate: Bool
  ) {
    for row in rows {
      let at = row * channels
      let (x, dk, dx) = (x + at, dk + at, dx + at)
      for d in 0..<channels {
        let (open, closed) = (VectorMath.sigmoid(x[d]), VectorMath.sigmoid(-x[d]))
        let y = -dk[d] * rest[d] * open * closed
        dx[d] = accumulate ? dx[d] + y : y
        sums[d] -= dk[d] * closed * bound[d]
      }
    }
  }

  /// Adds to the gradient of `θ` what the bounds' logarithms got, `dLog [D]`.
  ///
  /// Concretely: `∂ log l / ∂θ_m = p_m (1 − l) / l` for the layers `1…i` that `l` sums, else `−p_m`, `p = softmax(θ)`.
  package func addGradient(
    _ dLog: UnsafePointer<Float>, _ theta: UnsafePointer<Float>, layer: Int, layers: Int,
    to dTheta: UnsafeMutablePointer<Float>
  ) {
    guard layer > 0 else { return }
    for d in 0..<channels {
      let (sum, bound, rest) = (Double(dLog[d]), Double(bound[d]), Double(rest[d]))
      Self.softmax(theta + d, stride: channels, layers: layers) { m, share in
        let isSummed = (1...layer).contains(m)
        let factor = isSummed ? (bound == 0 ? 0 : share * rest / bound) : -share
        dTheta[m * channels + d] += Float(sum * factor)
      }
    }
  }
}
