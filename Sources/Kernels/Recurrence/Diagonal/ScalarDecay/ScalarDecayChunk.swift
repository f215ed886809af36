import Foundation
import Tensors

/// A chunk whose decay is the same for all channels: none, fixed, or one float a token.
///
/// Concretely, with `Γ_ij = scale · e^{b_i−b_j}` for `i ≥ j`:
///
///     P = Γ ⊙ Q Kᵀ      dP = Γ ⊙ dO Vᵀ      Z = P ⊙ dO Vᵀ
///     dQ = dP K + dQ'    dQ' = (scale · e^b ⊙ dO) Sᵀ       dK = dPᵀ Q + dK'    dK' = (e^{b_C−b} ⊙ V) dS'ᵀ
///     dV = Pᵀ dO + (e^{b_C−b} ⊙ K) dS'                     dS = e^{b_C} dS' + Qᵀ (scale · e^b ⊙ dO)
///     dg_l = Σ_{i ≥ l > j} Z_ij + Σ_{i ≥ l} q_i·dq'_i + Σ_{j < l} k_j·dk'_j + e^{b_C} ⟨S, dS'⟩
///
/// Every term of `dg_l` contains `e^{g_l}`; it is summed from those terms alone, never as a difference of sums that
/// contain others, whose rounding would drown a strong decay's gradient.
struct ScalarDecayChunk: DiagonalChunk, ChunkProducts {
  let kernel: DiagonalRecurrence
  var buffers: DiagonalBuffers
  /// `e^{b_C}`.
  var total: Float = 1
  /// `scale · e^{b_i}` and `e^{b_C−b_i}`.
  let inward, outward: UnsafeMutablePointer<Float>
  /// Rounded `b`, and what the rounding left.
  let b, bLow: UnsafeMutablePointer<Float>
  /// Whether `b_C` is so small that `scale · e^{b_i−b_C}`, which is `rise`, stays in range.
  var isMild = true
  let rise: UnsafeMutablePointer<Float>
  /// Decay not from data: `scale · λ^{n−1−x}` for `x < n` tokens, then 0: row `i` of Γ begins at `n − 1 − i`.
  let powers: UnsafeMutablePointer<Float>
  /// `e^{b_C−b} ⊙ V` and `scale · e^b ⊙ dO`.
  let vOut, dOIn: UnsafeMutablePointer<Float>
  /// Sums of `Z` along columns, `q_i·dq'_i` and `k_j·dk'_j`.
  let zColumns, queryDots, keyDots: UnsafeMutablePointer<Float>
  var isRounded = false
  let rounded: PairMatrix.Scratch

  init(_ kernel: DiagonalRecurrence, _ scratch: UnsafeMutablePointer<Float>) {
    self.kernel = kernel
    var x = DiagonalBuffers(kernel, scratch)
    (inward, outward, b, bLow) = (x.take(x.C), x.take(x.ldC), x.take(x.ldC), x.take(x.ldC))
    (rise, powers) = (x.take(x.C), x.take(2 * x.C + Lanes.width))
    (vOut, dOIn) = (x.take(x.C * x.ldV), x.take(x.C * x.ldV))
    (zColumns, queryDots, keyDots) = (x.take(x.ldC), x.take(x.C), x.take(x.C))
    let count = PairMatrix.Scratch.count([x.C, x.C, x.K, x.V])
    rounded = PairMatrix.Scratch(x.take(3 * count), count: count)
    buffers = x
  }

  static func scratchCount(_ kernel: DiagonalRecurrence) -> Int {
    DiagonalBuffers.count { ScalarDecayChunk(kernel, $0).buffers }
  }

  func map(_ head: RecurrenceHead, tokens: Int, into map: UnsafeMutablePointer<Float>) {
    var sum = 0.0
    switch kernel.decay {
    case .none: break
    case .fixed: sum = Double(max(head.logDecay, -80)) * Double(tokens)
    default:
      let g = decays(head)
      for t in 0..<tokens { sum += Double(max(g[t][0], -80)) }
    }
    map[0] = Float(exp(sum))
  }

  mutating func setDecays(_ head: RecurrenceHead, _ range: Range<Int>) {
    let n = range.count
    precondition(n <= buffers.C, "\(n) tokens in a chunk of \(buffers.C)")
    buffers.tokens = n
    isRounded = head.isBFloat16
    if kernel.decay == .scalar {
      setDecaysFromData(decays(head), range)
    } else {
      let log = kernel.decay == .none ? 0 : Double(max(head.logDecay, -80))
      for i in 0..<n {
        inward[i] = kernel.scale * expOf(log * Double(i + 1))
        outward[i] = expOf(log * Double(n - 1 - i))
      }
      total = expOf(log * Double(n))
      for x in 0..<n { powers[x] = kernel.scale * outward[x] }
      for x in n..<2 * n + Lanes.width { powers[x] = 0 }
    }
    for d in 0..<buffers.K { buffers.totals[d] = total }
  }

  private mutating func setDecaysFromData(_ g: TokenRows, _ range: Range<Int>) {
    let n = range.count
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
    isMild = sum > -60
    if isMild {
      for i in 0..<n { rise[i] = kernel.scale * expOf(Double(b[i]) + Double(bLow[i]) - sum) }
    }
  }

  private func decays(_ head: RecurrenceHead) -> TokenRows {
    guard let g = head.g else { preconditionFailure("a decay from data needs g") }
    return g
  }

  func prepareState() {
    let x = buffers
    Rows.scale(x.v, stride: x.ldV, rows: x.tokens, columns: x.V, by: outward, into: vOut, ld: x.ldV)
  }

  func addToState(from state: UnsafePointer<Float>?, into next: UnsafeMutablePointer<Float>) {
    let x = buffers
    multiply(
      x.k, lda: x.ldK, transposed: true, vOut, ldb: x.ldV, into: next, ldc: x.V, rows: x.K,
      columns: x.V, inner: x.tokens,
      store: state.map { .addScaled($0, ld: x.V, by: x.totals) } ?? .replace)
  }

  func prepareInter() {
    let x = buffers
    Rows.scale(x.q, stride: x.ldK, rows: x.tokens, columns: x.K, by: inward, into: x.qIn, ld: x.ldK)
  }

  func prepareIntra() {}

  func outputIntra() {
    let x = buffers
    multiplyTransposedRight(
      x.q, lda: x.ldK, x.k, ldb: x.ldK, into: x.p, ldc: x.ldC, rows: x.tokens, columns: x.tokens,
      inner: x.K, structure: .lowerResult, scratch: x.kT)
    applyDecays()
    multiply(
      x.p, lda: x.ldC, x.v, ldb: x.ldV, into: x.o, ldc: x.ldV, rows: x.tokens, columns: x.V,
      inner: x.tokens, structure: .lowerLeft)
  }

  func outputInter(_ state: UnsafePointer<Float>) {
    let x = buffers
    multiply(
      x.qIn, lda: x.ldK, state, ldb: x.ldState, into: x.o, ldc: x.ldV, rows: x.tokens,
      columns: x.V, inner: x.K, store: .add)
  }
}
