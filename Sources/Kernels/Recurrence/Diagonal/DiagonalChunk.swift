/// One chunk of a diagonal recurrence: its decays, and the products of its tokens in scratch.
///
/// Each step reads what the steps before it left in `buffers`.
protocol DiagonalChunk {
  /// The scratch.
  var buffers: DiagonalBuffers { get set }
  /// Whether the chunk's decays together are above `e^−60`, so that none is clamped.
  var isMild: Bool { get }
  /// Divides scratch.
  init(_ kernel: DiagonalRecurrence, _ scratch: UnsafeMutablePointer<Float>)
  /// Floats of scratch.
  static func scratchCount(_ kernel: DiagonalRecurrence) -> Int
  /// A shard's map, without regard to documents.
  func map(_ head: RecurrenceHead, tokens: Int, into map: UnsafeMutablePointer<Float>)
  /// Sets the decays for the tokens of a chunk, and `totals`.
  mutating func setDecays(_ head: RecurrenceHead, _ range: Range<Int>)

  /// After `k` and `v`: what `addToState` multiplies.
  func prepareState()
  /// `next ← e^{b_C} ⊙ state + (e^{b_C−b} ⊙ K)ᵀ V`, or without `state`.
  func addToState(from state: UnsafePointer<Float>?, into next: UnsafeMutablePointer<Float>)
  /// After `q`: what `outputInter` multiplies.
  func prepareInter()
  /// After `k`: what `outputIntra` and `gradientsIntra` multiply beside the rows themselves.
  func prepareIntra()
  /// After `q`, `k` and `v`: `o ← P V`.
  func outputIntra()
  /// `o ← o + (scale · e^b ⊙ Q) S`.
  func outputInter(_ state: UnsafePointer<Float>)

  /// After `q` and `dO`: what `addToStateGradient` multiplies.
  func prepareStateGradient()
  /// `next ← e^{b_C} ⊙ dS' + (scale · e^b ⊙ Q)ᵀ dO`, or without `dS'`.
  func addToStateGradient(
    from dState: UnsafePointer<Float>?, into next: UnsafeMutablePointer<Float>)
  /// After `q`, `k`, `v` and `dO`: `dq`, `dk`, `dv` and `dg` of the chunk's own tokens.
  func gradientsIntra()
  /// After `q`, `k`, `v`, `dO` and all prepared: adds what crosses the chunk to `dq`, `dk`, `dv`; sets `dg` to that.
  func gradientsInter(_ state: UnsafePointer<Float>, _ dState: UnsafePointer<Float>)
}

extension DiagonalChunk {
  /// `o ← o + (scale · e^b ⊙ Q) S`.
  func outputInter(_ state: UnsafePointer<Float>) {
    let x = buffers
    SmallMatrix.multiply(
      x.qIn, lda: x.ldK, state, ldb: x.ldState, into: x.o, ldc: x.ldV, rows: x.tokens, columns: x.V,
      inner: x.K, store: .add)
  }
}
