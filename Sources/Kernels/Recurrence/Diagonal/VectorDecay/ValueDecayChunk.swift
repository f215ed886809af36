/// A chunk whose decay is a float for each value channel and token.
///
/// Concretely, with states transposed, `S ∈ R^{V×K}`, and `P_ij = scale · q_i·k_j` for `i ≥ j`:
///
///     o_i = Σ_j P_ij v_j ⊙ e^{b_i−b_j} + scale · e^{b_i} ⊙ (q_i Sᵀ)      S' = e^{b_C} ⊙ S + (e^{b_C−b} ⊙ V)ᵀ K
///
/// The update is that of a vector decay with the values as keys and the keys as values. So is everything else with the
/// factors of `P` exchanged: where that has `dP = dO Vᵀ`, this has `P = Q Kᵀ`; where that has `P`, this has `dP`; and
/// what that finds for `dq`, `dk` and `dv` are this one's `o`, `dv` and `dk`. `DiagonalBuffers` says where each stands.
///
/// - Source: Gated Slot Attention (arXiv 2409.07146), section 3.2, whose first pass this is.
struct ValueDecayChunk: DiagonalChunk {
  var vector: VectorDecayChunk

  var buffers: DiagonalBuffers {
    get { vector.buffers }
    set { vector.buffers = newValue }
  }
  var isMild: Bool { vector.isMild }

  init(_ kernel: DiagonalRecurrence, _ scratch: UnsafeMutablePointer<Float>) {
    vector = VectorDecayChunk(kernel, scratch)
  }

  static func scratchCount(_ kernel: DiagonalRecurrence) -> Int {
    VectorDecayChunk.scratchCount(kernel)
  }

  func map(_ head: RecurrenceHead, tokens: Int, into map: UnsafeMutablePointer<Float>) {
    vector.map(head, tokens: tokens, into: map)
  }

  mutating func setDecays(_ head: RecurrenceHead, _ range: Range<Int>) {
    vector.setDecays(head, range)
  }

  func prepareState() { vector.prepareState() }

  func addToState(from state: UnsafePointer<Float>?, into next: UnsafeMutablePointer<Float>) {
    vector.addToState(from: state, into: next)
  }

  /// What comes in multiplies rows of the output, not of the queries.
  func prepareInter() {}

  func prepareIntra() { vector.prepareState() }

  func outputIntra() { vector.transposedOutputIntra() }

  func outputInter(_ state: UnsafePointer<Float>) { vector.transposedOutputInter(state) }

  func prepareStateGradient() { vector.prepareInter() }

  func addToStateGradient(
    from dState: UnsafePointer<Float>?, into next: UnsafeMutablePointer<Float>
  ) {
    vector.addToStateGradient(from: dState, into: next)
  }

  func gradientsIntra() {
    vector.gradientsIntra()
    vector.transposedQueriesIntra()
  }

  func gradientsInter(_ state: UnsafePointer<Float>, _ dState: UnsafePointer<Float>) {
    vector.gradientsInter(state, dState)
    vector.outputInter(state)
  }
}

extension VectorDecayChunk {
  /// `q k` are the gradient of the output and the values, `dO v` queries and keys: `dq ← Σ_j P_ij k_j ⊙ e^{b_i−b_j}`.
  func transposedOutputIntra() {
    let x = buffers
    SmallMatrix.multiplyTransposedRight(
      x.dO, lda: x.ldV, x.v, ldb: x.ldV, into: x.dP, ldc: x.ldC, rows: x.tokens,
      columns: x.tokens, inner: x.V, structure: .lowerResult, scratch: x.vT)
    keepLower(x.dP, strictly: false)
    forEachBlock(0, x.tokens) { block in
      let columns = prepareColumns(block)
      SmallMatrix.multiply(
        x.dP + (block.rows.lowerBound * x.ldC + block.columns.lowerBound), lda: x.ldC, columns,
        ldb: x.ldK, into: x.term, ldc: x.ldK, rows: block.rows.count, columns: x.K,
        inner: block.columns.count, structure: block.isDiagonal ? .lowerLeft : .full)
      let term = x.term - block.rows.lowerBound * x.ldK
      let adds = !block.isDiagonal
      forEachRegister(block.rows) { place, _ in
        let y = Lanes.load(term + place) * Lanes.load(rowFactors + place)
        (adds ? Lanes.load(x.dq + place) + y : y).store(x.dq + place)
      }
    }
  }

  /// `dq ← dq + scale · e^b ⊙ (dO Sᵀ)`.
  func transposedOutputInter(_ state: UnsafePointer<Float>) {
    let x = buffers
    SmallMatrix.multiplyTransposedRight(
      x.dO, lda: x.ldV, state, ldb: x.ldState, into: x.term, ldc: x.ldK, rows: x.tokens,
      columns: x.K,
      inner: x.V, scratch: x.stateT)
    let scale = Lanes(repeating: kernel.scale)
    forEachRegister(0..<x.tokens) { place, _ in
      let y = scale * Lanes.load(x.term + place) * Lanes.load(inward + place)
      (Lanes.load(x.dq + place) + y).store(x.dq + place)
      if let kept = x.fromState { y.store(kept + place) }
    }
  }

  /// After `gradientsIntra`, which leaves `P` in the lower triangle: `o ← P V`.
  func transposedQueriesIntra() {
    let x = buffers
    SmallMatrix.multiply(
      x.p, lda: x.ldC, x.v, ldb: x.ldV, into: x.o, ldc: x.ldV, rows: x.tokens, columns: x.V,
      inner: x.tokens, structure: .lowerLeft)
  }
}
