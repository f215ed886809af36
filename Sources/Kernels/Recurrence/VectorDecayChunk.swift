import Foundation
import Tensors

/// A chunk whose decay is a float for each key channel and token.
///
/// Concretely, for tokens `i ≥ j` and any reference token `r`:
///
///     P_ij = Σ_d (scale · q_id e^{b_id−b_rd}) (k_jd e^{b_rd−b_jd})
///
/// Where the decays of a block of tokens stay above `e^−60` in every channel, one product with the block's last
/// token as reference gives all of its `P` at full precision. Otherwise the block is halved: the later rows against
/// the earlier columns, with the seam as reference, have both factors at most 1 whatever the decays, and each
/// half is treated likewise, down to single tokens, which need no exponential.
///
/// - Source: Gated Linear Attention (arXiv 2312.06635), section 4.3, for secondary chunking.
struct VectorDecayChunk: DiagonalChunk {
  let kernel: DiagonalRecurrence
  var buffers: DiagonalBuffers
  /// `b_i − b_C` negated and rounded, that is the sum of `g` after token `i`, and what the rounding left; `[C, K]`.
  let after, afterLow: UnsafeMutablePointer<Float>
  /// `e^{b_i}` and `e^{b_C−b_i}`, `[C, K]`.
  let inward, outward: UnsafeMutablePointer<Float>
  /// A block's `scale · e^{b_i−b_r}` and `e^{b_r−b_j}`, and `q` and `k` times them, `[C, K]`.
  let rowFactors, columnFactors, rows, columns: UnsafeMutablePointer<Float>
  /// The diagonal of `dP`.
  let diagonal: UnsafeMutablePointer<Float>
  /// Running sums, `K` floats or Doubles.
  let sums: UnsafeMutablePointer<Float>

  init(_ kernel: DiagonalRecurrence, _ scratch: UnsafeMutablePointer<Float>) {
    self.kernel = kernel
    var x = DiagonalBuffers(kernel, scratch)
    let count = x.C * x.ldK
    (after, afterLow) = (x.take(count), x.take(count))
    (inward, outward) = (x.take(count), x.take(count))
    (rowFactors, columnFactors) = (x.take(count), x.take(count))
    (rows, columns) = (x.take(count), x.take(count))
    (diagonal, sums) = (x.take(x.C), x.take(2 * x.ldK))
    buffers = x
  }

  static func scratchCount(_ kernel: DiagonalRecurrence) -> Int {
    DiagonalBuffers.count { VectorDecayChunk(kernel, $0).buffers }
  }

  func map(_ head: RecurrenceHead, tokens: Int, into map: UnsafeMutablePointer<Float>) {
    let g = decays(head)
    withDoubleSums { sums in
      for t in 0..<tokens {
        for d in 0..<buffers.K { sums[d] += clamped(g[t][d]) }
      }
      for d in 0..<buffers.K { map[d] = Float(exp(sums[d])) }
    }
  }

  mutating func setDecays(_ head: RecurrenceHead, _ range: Range<Int>) {
    buffers.tokens = range.count
    let (K, ldK) = (buffers.K, buffers.ldK)
    let g = decays(head)
    withDoubleSums { sums in
      for i in (0..<range.count).reversed() {
        let source = g[range.lowerBound + i]
        let (high, low, factor) = (after + i * ldK, afterLow + i * ldK, outward + i * ldK)
        for d in 0..<K {
          let sum = sums[d]
          let rounded = Float(sum)
          let rest = Float(sum - Double(rounded))
          let e = VectorMath.exp(rounded)
          high[d] = rounded
          low[d] = rest
          factor[d] = e.addingProduct(e, rest)
          sums[d] = sum + clamped(source[d])
        }
      }
      var least = 0.0
      for d in 0..<K {
        least = min(least, sums[d])
        buffers.totals[d] = expOf(sums[d])
      }
      if least > -60 {
        for i in 0..<range.count {
          for d in 0..<K { inward[i * ldK + d] = buffers.totals[d] / outward[i * ldK + d] }
        }
      } else {
        for d in 0..<K { sums[d] = 0 }
        for i in 0..<range.count {
          let source = g[range.lowerBound + i]
          for d in 0..<K {
            sums[d] += clamped(source[d])
            inward[i * ldK + d] = expOf(sums[d])
          }
        }
      }
    }
  }

  private func decays(_ head: RecurrenceHead) -> TokenRows {
    guard let g = head.g else { preconditionFailure("a decay from data needs g") }
    return g
  }

  @inline(__always)
  private func clamped(_ g: Float) -> Double { Double(g < -80 ? -80 : g) }

  /// `K` sums that start at 0.
  @inline(__always)
  private func withDoubleSums(_ body: (UnsafeMutablePointer<Double>) -> Void) {
    sums.withMemoryRebound(to: Double.self, capacity: buffers.ldK) {
      $0.update(repeating: 0, count: buffers.ldK)
      body($0)
    }
  }

  func prepareState() {
    let x = buffers
    for i in 0..<x.tokens {
      let (k, factor, target) = (x.k + i * x.ldK, outward + i * x.ldK, x.kOut + i * x.ldK)
      for d in 0..<x.K { target[d] = k[d] * factor[d] }
    }
  }

  func addToState(from state: UnsafePointer<Float>?, into next: UnsafeMutablePointer<Float>) {
    let x = buffers
    SmallMatrix.multiply(
      x.kOut, lda: x.ldK, transposed: true, x.v, ldb: x.ldV, into: next, ldc: x.V, rows: x.K,
      columns: x.V, inner: x.tokens,
      store: state.map { .addScaled($0, ld: x.V, by: x.totals) } ?? .replace)
  }

  func prepareInter() {
    let x = buffers
    for i in 0..<x.tokens {
      let (q, factor, target) = (x.q + i * x.ldK, inward + i * x.ldK, x.qIn + i * x.ldK)
      for d in 0..<x.K { target[d] = kernel.scale * q[d] * factor[d] }
    }
  }

  func outputIntra() {
    let x = buffers
    forEachBlock(0, x.tokens) { block in scores(block, prepare(block)) }
    keepLower(x.p, strictly: false)
    SmallMatrix.multiply(
      x.p, lda: x.ldC, x.v, ldb: x.ldV, into: x.o, ldc: x.ldV, rows: x.tokens, columns: x.V,
      inner: x.tokens, structure: .lowerLeft)
  }
}
