import Foundation
import Tensors

/// One chunk's decays and the scratch that its products use.
///
/// Leading dimensions are whole registers; rows beyond the chunk's tokens hold anything.
struct ScalarDecayChunk {
  let K, V: Int
  /// Leading dimensions of what has `K`, `V` and `chunkLength` columns.
  let ldK, ldV, ldC: Int
  /// Tokens in the chunk.
  var tokens = 0
  /// `e^{b_C}`.
  var total: Float = 1
  /// `e^{b_C}`, once for each of `K` rows of a state.
  let totals: UnsafeMutablePointer<Float>
  /// `scale · e^{b_i}` and `e^{b_C−b_i}`.
  let inward, outward: UnsafeMutablePointer<Float>
  /// Rounded `b`, and what the rounding left.
  let b, bLow: UnsafeMutablePointer<Float>
  /// Whether `b_1 − b_C` is so small that `scale · e^{b_i−b_C}`, which is `rise`, stays in range.
  var isMild = true
  let rise: UnsafeMutablePointer<Float>
  /// Sums of `Z` along rows and columns.
  let zRows, zColumns: UnsafeMutablePointer<Float>
  /// Fixed decay: `scale · λ^{C−1−x}` for `x < C`, then 0: row `i` of Γ begins at `C − 1 − i`.
  let powers: UnsafeMutablePointer<Float>
  /// Contiguous copies of the chunk's rows, plain and scaled; `kT` and `vT` are transposed.
  let q, k, v, dO, qIn, kOut, vOut, dOIn, kT, vT: UnsafeMutablePointer<Float>
  /// `P` and `dP`, `[C, C]`; a product's result, `[C, K or V]`; `Sᵀ` or `dS'ᵀ`, `[V, K]`.
  let p, dP, result, stateT: UnsafeMutablePointer<Float>
  /// `dq'` or `dk'`, and the dot products of their rows with those of `q` and `k`.
  let across, queryDots, keyDots: UnsafeMutablePointer<Float>
  private let end: UnsafeMutablePointer<Float>

  /// Divides scratch.
  init(_ kernel: ScalarDecayRecurrence, _ scratch: UnsafeMutablePointer<Float>) {
    (K, V) = (kernel.keyDimension, kernel.valueDimension)
    let C = kernel.chunkLength
    (ldK, ldV, ldC) = (Lanes.padded(K), Lanes.padded(V), Lanes.padded(C))
    var next = UnsafeMutablePointer<Float>(bitPattern: (UInt(bitPattern: scratch) + 63) & ~63)!
    func take(_ count: Int) -> UnsafeMutablePointer<Float> {
      defer { next += (count + 15) & ~15 }
      return next
    }
    totals = take(K)
    (inward, outward, b, bLow) = (take(C), take(ldC), take(ldC), take(ldC))
    (rise, zRows, zColumns) = (take(C), take(C), take(ldC))
    powers = take(2 * C + Lanes.width)
    (q, k, qIn, kOut) = (take(C * ldK), take(C * ldK), take(C * ldK), take(C * ldK))
    (v, dO, vOut, dOIn) = (take(C * ldV), take(C * ldV), take(C * ldV), take(C * ldV))
    (kT, vT) = (take(K * ldC), take(V * ldC))
    (p, dP) = (take(C * ldC), take(C * ldC))
    result = take(C * max(ldK, ldV))
    stateT = take(V * ldK)
    (across, queryDots, keyDots) = (take(C * ldK), take(C), take(C))
    end = next
  }

  /// Floats of scratch, with what aligning it may take.
  static func count(_ kernel: ScalarDecayRecurrence) -> Int {
    let start = UnsafeMutablePointer<Float>(bitPattern: 64)!
    return ScalarDecayChunk(kernel, start).end - start + 16
  }

  /// Sets the decays for the tokens of a chunk.
  mutating func setDecays(
    _ kernel: ScalarDecayRecurrence, _ head: RecurrenceHead, _ range: Range<Int>
  ) {
    let n = range.count
    tokens = n
    switch kernel.decay {
    case .none, .fixed:
      let log = kernel.decay == .none ? 0 : Double(max(head.logDecay, -80))
      for i in 0..<n {
        inward[i] = kernel.scale * expOf(log * Double(i + 1))
        outward[i] = expOf(log * Double(n - 1 - i))
      }
      total = expOf(log * Double(n))
      for x in 0..<n { powers[x] = kernel.scale * outward[x] }
      for x in n..<2 * n + Lanes.width { powers[x] = 0 }
    case .fromData:
      guard let g = head.g else { preconditionFailure("a decay from data needs g") }
      var sum = 0.0
      for i in 0..<n {
        sum += Double(max(g[range.lowerBound + i][0], -80))
        b[i] = Float(sum)
        bLow[i] = Float(sum - Double(b[i]))
      }
      for i in 0..<n {
        inward[i] = kernel.scale * expOf(Double(b[i]) + Double(bLow[i]))
        outward[i] = expOf(sum - Double(b[i]) - Double(bLow[i]))
      }
      total = expOf(sum)
      isMild = n == 0 || b[0] - b[n - 1] < 60
      if isMild {
        for i in 0..<n { rise[i] = kernel.scale * expOf(Double(b[i]) + Double(bLow[i]) - sum) }
      }
    }
    for d in 0..<K { totals[d] = total }
  }

  /// The log of a shard's decay, in nats.
  static func logTotal(
    _ kernel: ScalarDecayRecurrence, _ head: RecurrenceHead, tokens: Int
  ) -> Double {
    switch kernel.decay {
    case .none: return 0
    case .fixed: return Double(max(head.logDecay, -80)) * Double(tokens)
    case .fromData:
      guard let g = head.g else { preconditionFailure("a decay from data needs g") }
      var sum = 0.0
      for t in 0..<tokens { sum += Double(max(g[t][0], -80)) }
      return sum
    }
  }

  /// `P ← Γ ⊙ P`, with zeros above the diagonal up to the register's end.
  func applyDecays(_ kernel: ScalarDecayRecurrence) {
    if kernel.decay != .fromData {
      scaleLower(p) { i, j in Lanes.load(powers + (tokens &- 1 &- i &+ j)) }
    } else if isMild {
      scaleLower(p) { i, j in Lanes(repeating: rise[i]) * Lanes.load(outward + j) }
    } else {
      scaleLower(p) { i, j in decays(i, j, kernel.scale) }
    }
  }

  /// `P ← Γ ⊙ P` and `dP ← Γ ⊙ dP`, likewise; a decay from data also sums `Z = P ⊙ dO Vᵀ` below the diagonal.
  func applyDecaysBackward(_ kernel: ScalarDecayRecurrence) {
    if kernel.decay != .fromData {
      scaleLower(p) { i, j in Lanes.load(powers + (tokens &- 1 &- i &+ j)) }
      scaleLower(dP) { i, j in Lanes.load(powers + (tokens &- 1 &- i &+ j)) }
    } else if isMild {
      scaleLowerSumming { i, j in Lanes(repeating: rise[i]) * Lanes.load(outward + j) }
    } else {
      scaleLowerSumming { i, j in decays(i, j, kernel.scale) }
    }
  }

  /// A register of Γ, from the difference itself: right for any decay.
  @inline(__always)
  private func decays(_ i: Int, _ j: Int, _ scale: Float) -> Lanes {
    let high = Lanes(repeating: b[i]) - Lanes.load(b + j)
    let low = Lanes(repeating: bLow[i]) - Lanes.load(bLow + j)
    return Lanes(repeating: scale) * Lanes.exp(high + low)
  }

  /// Multiplies the lower triangle, register by register.
  @inline(__always)
  private func scaleLower(
    _ x: UnsafeMutablePointer<Float>, _ factors: (Int, Int) -> Lanes
  ) {
    for i in 0..<tokens {
      let row = x + i &* ldC
      var j = 0
      while j <= i {
        let count = min(Lanes.width, i &+ 1 &- j)
        (Lanes.load(row + j, count: count) * factors(i, j)).first(count).store(row + j)
        j &+= Lanes.width
      }
    }
  }

  @inline(__always)
  private func scaleLowerSumming(_ factors: (Int, Int) -> Lanes) {
    zColumns.update(repeating: 0, count: ldC)
    for i in 0..<tokens {
      let (pRow, dPRow) = (p + i &* ldC, dP + i &* ldC)
      var sum = Lanes()
      var j = 0
      while j <= i {
        let count = min(Lanes.width, i &+ 1 &- j)
        let gamma = factors(i, j).first(count)
        let scaled = Lanes.load(pRow + j, count: count) * gamma
        let gradient = Lanes.load(dPRow + j, count: count)
        let z = (scaled * gradient).first(min(count, i &- j))
        sum += z
        (Lanes.load(zColumns + j) + z).store(zColumns + j)
        scaled.store(pRow + j)
        (gradient * gamma).store(dPRow + j)
        j &+= Lanes.width
      }
      zRows[i] = sum.sum()
    }
  }
}

/// `e^x` of a Double, to the last bits of a float.
@inline(__always)
func expOf(_ x: Double) -> Float {
  let high = Float(x)
  let y = VectorMath.exp(high)
  return y.addingProduct(y, Float(x - Double(high)))
}
