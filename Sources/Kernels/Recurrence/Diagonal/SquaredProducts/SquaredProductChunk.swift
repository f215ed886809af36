/// A chunk without decay whose weights are squares: `scale · (q·k)²`.
///
/// Concretely, with `G = tril(Q Kᵀ)` and `φ` the monomials of degree two, so that `φ(q)·φ(k) = (q·k)²`:
///
///     P = scale · G ⊙ G      O = P V + scale · φ(Q) S           S' = S + φ(K)ᵀ V
///     dG = 2 scale · G ⊙ dO Vᵀ                                  dS = dS' + scale · φ(Q)ᵀ dO
///     dQ = dG K + scale · Jᵀ(dO Sᵀ)     dK = dGᵀ Q + Jᵀ(V dS'ᵀ)     dV = Pᵀ dO + φ(K) dS'
///
/// where `Jᵀ` takes gradients of monomials to those of the numbers they are products of. Inside a chunk the square of
/// the product is formed, as a sum of monomials loses what cancels in it.
struct SquaredProductChunk: DiagonalChunk {
  let kernel: DiagonalRecurrence
  var buffers: DiagonalBuffers

  init(_ kernel: DiagonalRecurrence, _ scratch: UnsafeMutablePointer<Float>) {
    self.kernel = kernel
    buffers = DiagonalBuffers(kernel, scratch)
  }

  static func scratchCount(_ kernel: DiagonalRecurrence) -> Int {
    DiagonalBuffers.count { SquaredProductChunk(kernel, $0).buffers }
  }

  /// There is no decay.
  var isMild: Bool { true }

  func map(_ head: RecurrenceHead, tokens: Int, into map: UnsafeMutablePointer<Float>) {
    map[0] = 1
  }

  mutating func setDecays(_ head: RecurrenceHead, _ range: Range<Int>) {
    precondition(range.count <= buffers.C, "\(range.count) tokens in a chunk of \(buffers.C)")
    buffers.tokens = range.count
    buffers.totals.update(repeating: 1, count: buffers.K)
  }

  func prepareState() { monomials(buffers.k, scale: 1, into: buffers.kOut) }

  func addToState(from state: UnsafePointer<Float>?, into next: UnsafeMutablePointer<Float>) {
    add(buffers.kOut, buffers.v, to: state, into: next)
  }

  func prepareInter() { monomials(buffers.q, scale: kernel.scale, into: buffers.qIn) }

  func prepareIntra() {}

  func outputIntra() {
    let x = buffers
    products()
    squares(gradients: nil)
    SmallMatrix.multiply(
      x.p, lda: x.ldC, x.v, ldb: x.ldV, into: x.o, ldc: x.ldV, rows: x.tokens, columns: x.V,
      inner: x.tokens, structure: .lowerLeft)
  }

  func prepareStateGradient() { prepareInter() }

  func addToStateGradient(
    from dState: UnsafePointer<Float>?, into next: UnsafeMutablePointer<Float>
  ) {
    add(buffers.qIn, buffers.dO, to: dState, into: next)
  }

  func gradientsIntra() {
    let x = buffers
    let n = x.tokens
    products()
    SmallMatrix.multiplyTransposedRight(
      x.dO, lda: x.ldV, x.v, ldb: x.ldV, into: x.dP, ldc: x.ldC, rows: n, columns: n, inner: x.V,
      structure: .lowerResult, scratch: x.vT)
    squares(gradients: x.dP)
    SmallMatrix.multiply(
      x.dP, lda: x.ldC, x.k, ldb: x.ldW, into: x.dq, ldc: x.ldW, rows: n, columns: x.W, inner: n,
      structure: .lowerLeft)
    SmallMatrix.multiply(
      x.dP, lda: x.ldC, transposed: true, x.q, ldb: x.ldW, into: x.dk, ldc: x.ldW, rows: n,
      columns: x.W, inner: n, structure: .upperLeft)
    SmallMatrix.multiply(
      x.p, lda: x.ldC, transposed: true, x.dO, ldb: x.ldV, into: x.dv, ldc: x.ldV, rows: n,
      columns: x.N, inner: n, structure: .upperLeft)
  }

  func gradientsInter(_ state: UnsafePointer<Float>, _ dState: UnsafePointer<Float>) {
    let x = buffers
    SmallMatrix.multiply(
      x.kOut, lda: x.ldK, dState, ldb: x.V, into: x.dv, ldc: x.ldV, rows: x.tokens, columns: x.N,
      inner: x.K, store: .add)
    addAcross(state, x.dO, x.q, scale: kernel.scale, to: x.dq)
    addAcross(dState, x.v, x.k, scale: 1, to: x.dk)
  }

  /// `next ← state + leftᵀ right`, or without `state`.
  private func add(
    _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, to state: UnsafePointer<Float>?,
    into next: UnsafeMutablePointer<Float>
  ) {
    let x = buffers
    SmallMatrix.multiply(
      left, lda: x.ldK, transposed: true, right, ldb: x.ldV, into: next, ldc: x.V, rows: x.K,
      columns: x.V, inner: x.tokens,
      store: state.map { .addScaled($0, ld: x.V, by: x.totals) } ?? .replace)
  }

  /// `P ← Q Kᵀ`, of the lower triangle.
  private func products() {
    let x = buffers
    SmallMatrix.multiplyTransposedRight(
      x.q, lda: x.ldW, x.k, ldb: x.ldW, into: x.p, ldc: x.ldC, rows: x.tokens, columns: x.tokens,
      inner: x.W, structure: .lowerResult, scratch: x.kT)
  }

  /// `P ← scale · P²`, and `dP ← 2 scale · P ⊙ dP`, with zeros above the diagonal up to the register's end.
  private func squares(gradients dP: UnsafeMutablePointer<Float>?) {
    let (ldC, scale) = (buffers.ldC, Lanes(repeating: kernel.scale))
    for i in 0..<buffers.tokens {
      var j = 0
      while j <= i {
        let count = min(Lanes.width, i &+ 1 &- j)
        let place = i &* ldC &+ j
        let product = Lanes.load(buffers.p + place, count: count)
        let scaled = scale * product
        (scaled * product).store(buffers.p + place)
        if let dP {
          ((scaled + scaled) * Lanes.load(dP + place, count: count)).store(dP + place)
        }
        j &+= Lanes.width
      }
    }
  }

  /// `phi ← scale · φ(rows)`: for each number its square, then √2 times its products with those after it.
  private func monomials(
    _ rows: UnsafePointer<Float>, scale: Float, into phi: UnsafeMutablePointer<Float>
  ) {
    let x = buffers
    for i in 0..<x.tokens {
      let y = rows + i &* x.ldW
      var target = phi + i &* x.ldK
      for a in 0..<x.W {
        let factor = Lanes(repeating: Self.rootOfTwo * scale * y[a])
        let count = x.W &- a
        var j = 0
        while j < count {
          let n = min(Lanes.width, count &- j)
          (factor * Lanes.load(y + a + j, count: n)).store(target + j, count: n)
          j &+= Lanes.width
        }
        target[0] = scale * y[a] * y[a]
        target += count
      }
    }
  }

  /// `gradient ← gradient + scale · Jᵀ(left · stateᵀ)`.
  private func addAcross(
    _ state: UnsafePointer<Float>, _ left: UnsafePointer<Float>, _ rows: UnsafePointer<Float>,
    scale: Float, to gradient: UnsafeMutablePointer<Float>
  ) {
    let x = buffers
    SmallMatrix.multiplyTransposedRight(
      left, lda: x.ldV, state, ldb: x.V, into: x.term, ldc: x.ldK, rows: x.tokens, columns: x.K,
      inner: x.V, scratch: x.stateT)
    for i in 0..<x.tokens {
      let (y, dy) = (rows + i &* x.ldW, gradient + i &* x.ldW)
      var dPhi = x.term + i &* x.ldK
      for a in 0..<x.W {
        let after = x.W &- a &- 1
        let factor = Self.rootOfTwo * scale
        let sum = Rows.dot(dPhi + 1, y + a + 1, count: after)
        Rows.addScaled(dPhi + 1, by: factor * y[a], count: after, into: dy + a + 1)
        dy[a] += (2 * scale * dPhi[0] * y[a]).addingProduct(factor, sum)
        dPhi += after + 1
      }
    }
  }

  private static let rootOfTwo = Float(2).squareRoot()
}
