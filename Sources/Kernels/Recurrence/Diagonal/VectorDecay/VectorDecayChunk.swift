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
/// Where outputs are exclusive, that is of the state before each token, `b_{i−1}` stands for `b_i` with the queries, and
/// `P` is zero on the diagonal; a query's terms then do not contain its own token's decay.
///
/// - Source: Gated Linear Attention (arXiv 2312.06635), section 4.3, for secondary chunking; RWKV-6 (2404.05892) for
///   exclusive outputs.
struct VectorDecayChunk: DiagonalChunk {
  let kernel: DiagonalRecurrence
  var buffers: DiagonalBuffers
  /// The sum of `g` after token `i`, that is `b_C − b_i`, and what rounding left of it; `[C, K]`.
  private(set) var after, afterLow: UnsafeMutablePointer<Float>
  /// `e^{b_i}`, or `e^{b_{i−1}}` for exclusive outputs, and `e^{b_C−b_i}`, `[C, K]`.
  private(set) var inward, outward: UnsafeMutablePointer<Float>
  /// Whether no channel decays by more than e^−60 over the chunk, so that one block is enough.
  var isMild = true
  /// A block's `scale · e^{b_i−b_r}` and `e^{b_r−b_j}`, and below `q` and `k` times them, `[C, K]`.
  private(set) var rowFactors, columnFactors: UnsafeMutablePointer<Float>
  let rows, columns: UnsafeMutablePointer<Float>
  /// The diagonal of `dP`.
  let diagonal: UnsafeMutablePointer<Float>
  /// Running sums, `K` floats.
  let sums: UnsafeMutablePointer<Float>

  init(_ kernel: DiagonalRecurrence, _ scratch: UnsafeMutablePointer<Float>) {
    self.kernel = kernel
    var x = DiagonalBuffers(kernel, scratch)
    let count = x.C * x.ldK
    (after, afterLow) = (x.take(count), x.take(count))
    (inward, outward) = (x.take(count), x.take(count))
    (rowFactors, columnFactors) = (x.take(count), x.take(count))
    (rows, columns) = (x.take(count), x.take(count))
    (diagonal, sums) = (x.take(x.C), x.take(x.ldK))
    buffers = x
  }

  static func scratchCount(_ kernel: DiagonalRecurrence) -> Int {
    DiagonalBuffers.count { VectorDecayChunk(kernel, $0).buffers }
  }

  func map(_ head: RecurrenceHead, tokens: Int, into map: UnsafeMutablePointer<Float>) {
    let g = decays(head)
    for d in stride(from: 0, to: buffers.K, by: Lanes.width) {
      let count = min(Lanes.width, buffers.K - d)
      var sum = CompensatedSum()
      for t in 0..<tokens { sum.add(clamped(Lanes.load(g[t] + d, count: count))) }
      sum.exponential.store(map + d, count: count)
    }
  }

  mutating func setDecays(_ head: RecurrenceHead, _ range: Range<Int>) {
    let (n, K, ldK) = (range.count, buffers.K, buffers.ldK)
    precondition(n <= buffers.C, "\(n) tokens in a chunk of \(buffers.C)")
    buffers.tokens = n
    let g = decays(head)
    // Row by row first: walking up a channel would wait for each row's memory.
    let own = buffers.term
    buffers.load(g, range, K, into: own, ld: ldK)
    isMild = true
    for d in stride(from: 0, to: K, by: Lanes.width) {
      let count = min(Lanes.width, K - d)
      var sum = CompensatedSum()
      var i = n &- 1
      while i >= 0 {
        let x = i &* ldK &+ d
        sum.high.store(after + x)
        sum.low.store(afterLow + x)
        sum.exponential.store(outward + x)
        sum.add(clamped(Lanes.load(own + x, count: count)))
        i &-= 1
      }
      sum.exponential.store(buffers.totals + d)
      if any(sum.high .< Lanes(repeating: -60)) { isMild = false }
    }
    if isMild, kernel.isExclusive {
      forEachRegister(0..<min(n, 1)) { x, _ in
        Lanes(repeating: 1).store(inward + x)
        Lanes().store(rowFactors + x)
      }
      forEachRegister(min(n, 1)..<n) { x, d in
        let rise = Lanes(repeating: 1) / Lanes.load(outward + (x &- ldK))
        (Lanes.load(buffers.totals + d) * rise).store(inward + x)
        (Lanes(repeating: kernel.scale) * rise).store(rowFactors + x)
      }
      return
    }
    if isMild {
      forEachRegister(0..<n) { x, d in
        let rise = Lanes(repeating: 1) / Lanes.load(outward + x)
        (Lanes.load(buffers.totals + d) * rise).store(inward + x)
        (Lanes(repeating: kernel.scale) * rise).store(rowFactors + x)
      }
      return
    }
    for d in stride(from: 0, to: K, by: Lanes.width) {
      let count = min(Lanes.width, K - d)
      var sum = CompensatedSum()
      for i in 0..<n {
        if kernel.isExclusive { sum.exponential.store(inward + (i &* ldK &+ d)) }
        sum.add(clamped(Lanes.load(own + (i &* ldK &+ d), count: count)))
        if !kernel.isExclusive { sum.exponential.store(inward + (i &* ldK &+ d)) }
      }
    }
  }

  /// Has the decays and the keys of another chunk of as many rows of the state, now and whenever those are set.
  mutating func share(_ other: VectorDecayChunk) {
    precondition(kernel.scale == other.kernel.scale && buffers.K == other.buffers.K)
    (after, afterLow, inward, outward) = (other.after, other.afterLow, other.inward, other.outward)
    (rowFactors, columnFactors) = (other.rowFactors, other.columnFactors)
    (buffers.totals, buffers.k, buffers.kOut) = (
      other.buffers.totals, other.buffers.k, other.buffers.kOut
    )
    (buffers.tokens, isMild) = (other.buffers.tokens, other.isMild)
  }

  private func decays(_ head: RecurrenceHead) -> TokenRows {
    guard let g = head.g else { preconditionFailure("a decay from data needs g") }
    return g
  }

  @inline(__always)
  private func clamped(_ g: Lanes) -> Lanes {
    g.replacing(with: -80, where: g .< Lanes(repeating: -80))
  }

  /// Calls `body` with the place in a `[C, K]` matrix and the first channel of each register of some tokens.
  @inline(__always)
  func forEachRegister(_ tokens: Range<Int>, _ body: (_ place: Int, _ channel: Int) -> Void) {
    var row = tokens.lowerBound &* buffers.ldK
    for _ in tokens {
      var d = 0
      while d < buffers.ldK {
        body(row &+ d, d)
        d &+= Lanes.width
      }
      row &+= buffers.ldK
    }
  }

  func prepareState() {
    forEachRegister(0..<buffers.tokens) { x, _ in
      (Lanes.load(buffers.k + x) * Lanes.load(outward + x)).store(buffers.kOut + x)
    }
  }

  func addToState(from state: UnsafePointer<Float>?, into next: UnsafeMutablePointer<Float>) {
    let x = buffers
    SmallMatrix.multiply(
      x.kOut, lda: x.ldK, transposed: true, x.v, ldb: x.ldV, into: next, ldc: x.ldState, rows: x.K,
      columns: x.V, inner: x.tokens,
      store: state.map { .addScaled($0, ld: x.ldState, by: x.totals) } ?? .replace)
  }

  func prepareInter() {
    forEachRegister(0..<buffers.tokens) { x, _ in
      (Lanes(repeating: kernel.scale) * Lanes.load(buffers.q + x) * Lanes.load(inward + x))
        .store(buffers.qIn + x)
    }
  }

  func prepareIntra() { prepareState() }

  func outputIntra() {
    let x = buffers
    forEachBlock(0, x.tokens) { block in scores(block, prepare(block)) }
    keepLower(x.p, strictly: kernel.isExclusive)
    SmallMatrix.multiply(
      x.p, lda: x.ldC, x.v, ldb: x.ldV, into: x.o, ldc: x.ldV, rows: x.tokens, columns: x.V,
      inner: x.tokens, structure: .lowerLeft)
  }
}
