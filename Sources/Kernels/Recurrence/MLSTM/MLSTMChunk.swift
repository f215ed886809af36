import Foundation
import Tensors

/// One chunk of an mLSTM: its gates, and the products of its tokens in scratch.
///
/// Concretely, with `b` the sums of `f` from the chunk's start, `w_j = i_j − b_j` and `M_i` the maximum of the incoming
/// `m` and of `w_j` for `j ≤ i`, so that `m_i = b_i + M_i`:
///
///     P_ij = scale · q_i·k_j e^{w_j−M_i} for i ≥ j      [N | d] = P [V | 1] + scale · e^{m−M} ⊙ Q [S | n]
///     m' = b_C + M_C       [S' | n'] = e^{m−M_C} [S | n] + (e^{w−M_C} ⊙ K)ᵀ [V | 1]
///
/// Before `m` is known, `M` is the maximum of the `w_j` alone. All exponents are at most 0; they do not depend on how
/// far `b` has fallen. The column of ones is not multiplied: its products are sums of P's rows and of scaled keys.
struct MLSTMChunk {
  let kernel: MLSTMRecurrence
  var buffers: DiagonalBuffers
  /// `b`, `w` and `M`.
  let sums, writes, maxima: UnsafeMutablePointer<Double>
  /// The maximum that came in: −∞ where it is not known or there is none.
  var entering = -Double.infinity
  /// The largest `w`.
  var largest = -Double.infinity
  /// `scale · e^{M_C−M_i}` and `e^{w_j−M_C}`: of whose products P consists where they stay in range.
  let rise, fall: UnsafeMutablePointer<Float>
  /// Whether they do.
  var isMild = true
  /// Rounded `w` and `M`, and what the rounding left, less `M_C`: where they don't.
  let write, writeLow, maximum, maximumLow: UnsafeMutablePointer<Float>
  /// `scale · e^{m−M_i}`, and `e^{w_j+b_C−m'}`.
  let inward, outward: UnsafeMutablePointer<Float>
  /// By what a chunk's own part of `[N | d]` is multiplied once `m` is known.
  let rescale: UnsafeMutablePointer<Float>
  /// `d`, `e^{−m_i}` and `1 / (max(|d|, e^{−m_i}) + ε)`.
  let d, floor, inverse: UnsafeMutablePointer<Float>
  /// The sums of P's rows, or where the chunk goes back the gradient of `d`, and of `m`.
  let rowSums, dD, dM: UnsafeMutablePointer<Float>
  /// `e^{…} ⊙ V`, and `scale · e^{m−M} ⊙ dN`.
  let vOut, dOIn: UnsafeMutablePointer<Float>
  /// Gradients of `f` and `i`, and what they are made of.
  let df, di, zColumns, queryDots, keyDots: UnsafeMutablePointer<Float>
  /// What the chunk adds to a state, or to its gradient.
  let increment: UnsafeMutablePointer<Float>
  /// What the rounding of exponents left.
  private let low: UnsafeMutablePointer<Float>

  init(_ kernel: MLSTMRecurrence, _ scratch: UnsafeMutablePointer<Float>) {
    self.kernel = kernel
    var x = DiagonalBuffers(kernel, scratch, isOfValues: false)
    let C = x.ldC
    func doubles(_ x: inout DiagonalBuffers) -> UnsafeMutablePointer<Double> {
      UnsafeMutableRawPointer(x.take(2 * C)).bindMemory(to: Double.self, capacity: C)
    }
    (sums, writes, maxima) = (doubles(&x), doubles(&x), doubles(&x))
    (rise, fall, inward, outward) = (x.take(C), x.take(C), x.take(C), x.take(C))
    (write, writeLow, maximum, maximumLow) = (x.take(C), x.take(C), x.take(C), x.take(C))
    (rescale, d, floor, inverse) = (x.take(C), x.take(C), x.take(C), x.take(C))
    (rowSums, dD, dM) = (x.take(C), x.take(C), x.take(C))
    (vOut, dOIn) = (x.take(x.C * x.ldV), x.take(x.C * x.ldV))
    (df, di, zColumns, queryDots, keyDots) = (
      x.take(C), x.take(C), x.take(C), x.take(C), x.take(C)
    )
    (increment, low) = (x.take(kernel.stateCount), x.take(C))
    buffers = x
  }

  static func scratchCount(_ kernel: MLSTMRecurrence) -> Int {
    DiagonalBuffers.count { MLSTMChunk(kernel, $0).buffers }
  }

  // MARK: Gates

  /// Gates below this are as good as −∞, and leave the others their digits.
  private static let least = -1e6

  /// A log gate of a token.
  static func gate(_ rows: TokenRows?, _ token: Int) -> Double {
    guard let rows else { preconditionFailure("the mLSTM needs both gates") }
    return max(Double(rows[token][0]), least)
  }

  /// Sets the gates of a chunk's tokens, with no maximum from before.
  mutating func setGates(_ head: RecurrenceHead, _ range: Range<Int>) {
    let n = range.count
    precondition(n <= buffers.C, "\(n) tokens in a chunk of \(buffers.C)")
    buffers.tokens = n
    var sum = 0.0
    for i in 0..<n {
      sum += Self.gate(head.g, range.lowerBound + i)
      sums[i] = sum
      writes[i] = Self.gate(head.beta, range.lowerBound + i) - sum
    }
    largest = -.infinity
    for i in 0..<n { largest = max(largest, writes[i]) }
    enter(-.infinity)
  }

  /// Sets the maxima with one from before.
  mutating func enter(_ m: Double) {
    entering = m
    var most = m
    for i in 0..<buffers.tokens {
      most = max(most, writes[i])
      maxima[i] = most
    }
  }

  /// `b_C`.
  var decay: Double { sums[buffers.tokens - 1] }
  /// The maximum after the chunk if none came in, as it is rounded.
  var ownMaximum: Float { Float(decay + largest) }
  /// Whether the maximum that came in is the one that goes out.
  var isPassed: Bool { entering >= largest }
  /// The maximum after the chunk, as `StabilisedState.combine` rounds it.
  var leaving: Float { max(Float(decay + entering), ownMaximum) }

  /// `target_i ← e^{x_i}` of the chunk's tokens, `x` at most 88.
  private func exponentials(
    into target: UnsafeMutablePointer<Float>, scale: Float = 1, _ x: (Int) -> Double
  ) {
    for i in 0..<buffers.tokens {
      let exact = max(x(i), -1000)
      let high = Float(exact)
      target[i] = high
      low[i] = Float(exact - Double(high))
    }
    var i = 0
    while i < buffers.tokens {
      let y = Lanes.exp(Lanes.load(target + i))
      (Lanes(repeating: scale) * y.addingProduct(y, Lanes.load(low + i))).store(target + i)
      i &+= Lanes.width
    }
  }

  /// What P consists of, for the maxima that are set.
  mutating func prepareDecays() {
    let n = buffers.tokens
    let last = maxima[n - 1]
    isMild = last - maxima[0] < 60
    if isMild {
      exponentials(into: rise, scale: kernel.scale) { last - maxima[$0] }
      exponentials(into: fall) { writes[$0] - last }
    } else {
      for i in 0..<n {
        let (w, m) = (writes[i] - last, maxima[i] - last)
        write[i] = Float(w)
        writeLow[i] = Float(w - Double(write[i]))
        maximum[i] = Float(m)
        maximumLow[i] = Float(m - Double(maximum[i]))
      }
    }
  }

  /// A register of `scale · e^{w_j−M_i}`, where the factors would not stay in range.
  @inline(__always)
  func decays(_ i: Int, _ j: Int) -> Lanes {
    let high = Lanes.load(write + j) - Lanes(repeating: maximum[i])
    let low = Lanes.load(writeLow + j) - Lanes(repeating: maximumLow[i])
    return Lanes(repeating: kernel.scale) * Lanes.exp(high + low)
  }

  /// After `enter`: `scale · e^{m−M_i}`.
  func prepareInward() {
    exponentials(into: inward, scale: kernel.scale) { entering - maxima[$0] }
  }

  /// `e^{w_j+b_C−m'}` for a maximum after the chunk.
  func prepareOutward(_ after: Float) {
    let shift = decay - Double(after)
    exponentials(into: outward) { writes[$0] + shift }
  }

  // MARK: Forward

  /// After `k`, `v` and the gates: what the chunk adds to a state, divided by the exponential of its own maximum.
  func summarize(into increment: UnsafeMutablePointer<Float>) {
    let x = buffers
    prepareOutward(ownMaximum)
    Rows.scale(x.v, stride: x.ldV, rows: x.tokens, columns: x.V, by: outward, into: vOut, ld: x.ldV)
    SmallMatrix.multiply(
      x.k, lda: x.ldK, transposed: true, vOut, ldb: x.ldV, into: increment, ldc: x.V, rows: x.K,
      columns: x.V, inner: x.tokens)
    addRows(x.k, by: outward, into: increment + kernel.matrixCount, from: nil)
    increment[kernel.sumsCount] = ownMaximum
  }

  /// `target ← f · source + Σ_i factors_i rows_i`, rows of `K` floats; without a source, the sum alone.
  func addRows(
    _ rows: UnsafePointer<Float>, by factors: UnsafePointer<Float>,
    into target: UnsafeMutablePointer<Float>, from source: UnsafePointer<Float>?, times f: Float = 1
  ) {
    let x = buffers
    var d = 0
    while d < x.K {
      let count = min(Lanes.width, x.K &- d)
      var sum = Lanes()
      for i in 0..<x.tokens {
        sum.addProduct(Lanes(repeating: factors[i]), Lanes.load(rows + (i &* x.ldK &+ d)))
      }
      if let source { sum.addProduct(Lanes(repeating: f), Lanes.load(source + d, count: count)) }
      sum.store(target + d, count: count)
      d &+= Lanes.width
    }
  }

  /// After `q`, `k` and `v`, before a maximum is known: `o` and `d` as the chunk alone gives them.
  mutating func outputIntra() {
    let x = buffers
    prepareDecays()
    SmallMatrix.multiplyTransposedRight(
      x.q, lda: x.ldK, x.k, ldb: x.ldK, into: x.p, ldc: x.ldC, rows: x.tokens, columns: x.tokens,
      inner: x.K, structure: .lowerResult, scratch: x.kT)
    if isMild {
      scaleLower { i, j in Lanes(repeating: rise[i]) * Lanes.load(fall + j) }
    } else {
      scaleLower { i, j in decays(i, j) }
    }
    SmallMatrix.multiply(
      x.p, lda: x.ldC, x.v, ldb: x.ldV, into: x.o, ldc: x.ldV, rows: x.tokens, columns: x.V,
      inner: x.tokens, structure: .lowerLeft)
  }

  /// `P ← Γ ⊙ P`, with zeros above the diagonal up to the register's end; `d` becomes the sums of its rows.
  @inline(__always)
  private func scaleLower(_ factors: (Int, Int) -> Lanes) {
    for i in 0..<buffers.tokens {
      let row = buffers.p + i &* buffers.ldC
      var sum = Lanes()
      var j = 0
      while j <= i {
        let count = min(Lanes.width, i &+ 1 &- j)
        let scaled = (Lanes.load(row + j, count: count) * factors(i, j)).first(count)
        scaled.store(row + j)
        sum += scaled
        j &+= Lanes.width
      }
      d[i] = sum.sum()
    }
  }

  /// After `q`, `o` and `d` of the chunk alone: both with what the state before it gives, `o` divided by the
  /// denominator.
  mutating func outputInter(_ state: UnsafePointer<Float>) {
    let (x, n) = (buffers, buffers.tokens)
    enter(Double(state[kernel.sumsCount]))
    prepareInward()
    var own = -Double.infinity
    for i in 0..<n {
      own = max(own, writes[i])
      rowSums[i] = Float(own - maxima[i])
    }
    var i = 0
    while i < n {
      Lanes.exp(Lanes.load(rowSums + i)).store(rescale + i)
      i &+= Lanes.width
    }
    Rows.scale(x.q, stride: x.ldK, rows: n, columns: x.K, by: inward, into: x.qIn, ld: x.ldK)
    Rows.scale(x.o, stride: x.ldV, rows: n, columns: x.V, by: rescale, into: x.o, ld: x.ldV)
    SmallMatrix.multiply(
      x.qIn, lda: x.ldK, state, ldb: x.V, into: x.o, ldc: x.ldV, rows: n, columns: x.V,
      inner: x.K, store: .add)
    let normaliser = state + kernel.matrixCount
    for i in 0..<n {
      d[i] = (d[i] * rescale[i]).addingProduct(
        1, Rows.dot(x.qIn + i &* x.ldK, normaliser, count: x.K))
    }
    prepareDenominators()
    Rows.scale(x.o, stride: x.ldV, rows: n, columns: x.V, by: inverse, into: x.o, ld: x.ldV)
  }

  /// After `enter` and `d`: `e^{−m}` and what outputs are multiplied by.
  func prepareDenominators() {
    let n = buffers.tokens
    for i in 0..<n { floor[i] = Float(max(min(-(sums[i] + maxima[i]), 88), -1000)) }
    var i = 0
    while i < n {
      let least = Lanes.exp(Lanes.load(floor + i))
      least.store(floor + i)
      let d = Lanes.load(d + i)
      let magnitude = d.replacing(with: -d, where: d .< Lanes())
      let most = least.replacing(with: magnitude, where: magnitude .> least)
      (Lanes(repeating: 1) / (most + Lanes(repeating: kernel.epsilon))).store(inverse + i)
      i &+= Lanes.width
    }
  }
}
