/// The backward twin. With `D` the gradient of the state after a chunk, `ε_j = e^{B_C−B_j}`, and the lower triangles
/// `N^qb = tril(dO Uᵀ)`, `N^qk = tril(dO Vᵀ)`, `N^ab = tril(λ Uᵀ, −1)`, `N^ak = tril(λ Vᵀ, −1)`:
///
///     dU = A_qbᵀ dO + (b ⊙ ε) D      λ = Xᵀ dU      dV = A_qkᵀ dO + (k ⊙ ε) D + A_akᵀ λ
///     dS = e^{B_C} ⊙ D + (q ⊙ e^B)ᵀ dO + (a ⊙ e^{B⁻})ᵀ λ
///     dq_i = e^{B_i} ⊙ (dO_i Sᵀ) + Σ_{j≤i} (N^qb_ij b_j + N^qk_ij k_j) ⊙ e^{B_i−B_j}
///     da_i = e^{B⁻_i} ⊙ (λ_i Sᵀ) + Σ_{j<i} (N^ab_ij b_j + N^ak_ij k_j) ⊙ e^{B⁻_i−B_j}
///     dk_j = ε_j ⊙ (v_j Dᵀ) + Σ_{i≥j} N^qk_ij q_i ⊙ e^{B_i−B_j} + Σ_{i>j} N^ak_ij a_i ⊙ e^{B⁻_i−B_j}
///     db_j = ε_j ⊙ (u_j Dᵀ) + the same with N^qb and N^ab
///
/// The gradient of `g_l` is the sum of what crosses token `l`, of which every term contains `e^{g_l}`: pairs `i ≥ l > j`
/// of `q ⊙ dq` and `i > l > j` of `a ⊙ da`, what later tokens read of the state, what earlier ones write to it,
/// and `e^{B_C} ⊙ rowsum(S ⊙ D)`. It is never a difference of sums that contain others; see `DeltaRecurrence`.
extension LowRankRecurrence {
  /// See `RecurrenceKernel`.
  package func summarizeBackward(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    state: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
  ) {
    let work = LowRankWorkspace(self, at: scratch)
    pad(nil, into: work.dState)
    for chunk in plan.chunks.indices.reversed() {
      let here = Kept(self, plan, chunk: chunk, kept)
      let shape = loadBack(head, gradient, plan.chunks[chunk], work)
      solve(shape, here, dState: work.dState, work)
      retreat(shape, isReset: plan.resets[chunk], dState: work.dState, work)
    }
    unpad(work.dState, into: state)
  }

  /// Nothing: what needs no gradient of the final state is too little to be worth a pass of its own.
  package func backwardIntra(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan, chunk: Int,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {}

  /// See `RecurrenceKernel`.
  package func beginBackward(
    _ final: UnsafePointer<Float>?, _ plan: ChunkPlan, keptBackward: UnsafeMutablePointer<Float>
  ) {
    pad(final, into: keptBackward)
  }

  /// Writes all gradients of a chunk; see `RecurrenceKernel`.
  package func backwardInter(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan, chunk: Int,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    let work = LowRankWorkspace(self, at: scratch)
    let shape = loadBack(head, gradient, plan.chunks[chunk], work)
    let here = Kept(self, plan, chunk: chunk, kept)
    let dState = keptBackward
    ChunkRows.touch(here.state, paddedKeys * valueStride, work.touched)
    ChunkRows.touch(here.reads, shape.rows * (valueStride + 4 * chunkLength), work.touched)
    solve(shape, here, dState: dState, work)
    differentiateValues(shape, here, dState: dState, work)
    multiplyStates(shape, here, dState: dState, work)
    differentiate(shape, here, dState: dState, work)
    retreat(shape, isReset: plan.resets[chunk], dState: dState, work)
    emit(shape, head, gradient, work)
  }

  /// See `RecurrenceKernel`.
  package func backward(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    final: UnsafePointer<Float>?, initial: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    beginBackward(final, plan, keptBackward: keptBackward)
    for chunk in plan.chunks.indices.reversed() {
      backwardInter(
        head, gradient, plan, chunk: chunk, kept: kept, keptBackward: keptBackward,
        scratch: scratch)
    }
    unpad(keptBackward, into: initial)
  }

  /// A chunk's rows, with those of `dO`.
  private func loadBack(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ tokens: Range<Int>,
    _ work: LowRankWorkspace
  ) -> DeltaChunk {
    let chunk = load(head, tokens, work)
    ChunkRows.touch(gradient.dO, tokens, valueDimension, work.touched)
    ChunkRows.copy(gradient.dO, chunk, valueDimension, into: work.dO, valueStride)
    return chunk
  }

  /// `λ = Xᵀ (A_qbᵀ dO + (b ⊙ ε) D)`.
  private func solve(
    _ chunk: DeltaChunk, _ here: Kept, dState: UnsafeMutablePointer<Float>,
    _ work: LowRankWorkspace
  ) {
    multiplySquare(here.queryWrites, work.dO, chunk.rows, into: work.dReads)
    multiplyRows(work.writes, dState, chunk.rows, into: work.dReads)
    multiplySquare(here.inverse, work.dReads, chunk.rows, into: work.lambda)
  }

  /// `dV = A_qkᵀ dO + (k ⊙ ε) D + A_akᵀ λ`.
  private func differentiateValues(
    _ chunk: DeltaChunk, _ here: Kept, dState: UnsafeMutablePointer<Float>,
    _ work: LowRankWorkspace
  ) {
    multiplySquare(here.queryKeys, work.dO, chunk.rows, into: work.dv)
    multiplySquare(here.readKeys, work.lambda, chunk.rows, store: .add, into: work.dv)
    multiplyRows(work.writeKeys, dState, chunk.rows, into: work.dv)
  }

  /// `Aᵀ Y` of a lower triangle.
  private func multiplySquare(
    _ square: UnsafePointer<Float>, _ y: UnsafePointer<Float>, _ rows: Int,
    store: SmallMatrix.Store = .replace, into result: UnsafeMutablePointer<Float>
  ) {
    SmallMatrix.multiply(
      square, lda: chunkLength, transposed: true, y, ldb: valueStride, into: result,
      ldc: valueStride, rows: rows, columns: paddedValues, inner: rows, store: store,
      structure: .upperLeft)
  }

  /// Adds rows of keys times a state.
  private func multiplyRows(
    _ keys: UnsafePointer<Float>, _ state: UnsafePointer<Float>, _ rows: Int,
    into result: UnsafeMutablePointer<Float>
  ) {
    SmallMatrix.multiply(
      keys, lda: keyStride, state, ldb: valueStride, into: result, ldc: valueStride, rows: rows,
      columns: paddedValues, inner: paddedKeys, store: .add)
  }

  /// `D` before the chunk from `D` after it.
  private func retreat(
    _ chunk: DeltaChunk, isReset: Bool, dState: UnsafeMutablePointer<Float>,
    _ work: LowRankWorkspace
  ) {
    if isReset { return pad(nil, into: dState) }
    SmallMatrix.multiply(
      work.readQueries, lda: keyStride, transposed: true, work.dO, ldb: valueStride, into: dState,
      ldc: valueStride, rows: paddedKeys, columns: paddedValues, inner: chunk.rows,
      store: .addScaled(dState, ld: valueStride, by: work.decay))
    SmallMatrix.multiply(
      work.readStates, lda: keyStride, transposed: true, work.lambda, ldb: valueStride,
      into: dState, ldc: valueStride, rows: paddedKeys, columns: paddedValues, inner: chunk.rows,
      store: .add)
  }

  /// `dO Sᵀ`, `λ Sᵀ`, `V Dᵀ`, `U Dᵀ`, and the triangles.
  private func multiplyStates(
    _ chunk: DeltaChunk, _ here: Kept, dState: UnsafeMutablePointer<Float>,
    _ work: LowRankWorkspace
  ) {
    let (rows, C) = (chunk.rows, chunkLength)
    SmallMatrix.transpose(
      here.state, ld: valueStride, rows: paddedKeys, columns: paddedValues,
      into: work.stateTransposed, ld: keyStride)
    multiplyRight(work.dO, work.stateTransposed, keyStride, rows, paddedKeys, into: work.dq)
    multiplyRight(work.lambda, work.stateTransposed, keyStride, rows, paddedKeys, into: work.da)
    SmallMatrix.transpose(
      dState, ld: valueStride, rows: paddedKeys, columns: paddedValues,
      into: work.stateTransposed, ld: keyStride)
    multiplyRight(work.v, work.stateTransposed, keyStride, rows, paddedKeys, into: work.dk)
    multiplyRight(here.reads, work.stateTransposed, keyStride, rows, paddedKeys, into: work.db)
    SmallMatrix.transpose(
      here.reads, ld: valueStride, rows: rows, columns: paddedValues, into: work.transposed, ld: C)
    multiplyRight(work.dO, work.transposed, C, rows, rows, .lowerResult, into: work.dQueryWrites)
    multiplyRight(
      work.lambda, work.transposed, C, rows, rows, .lowerResult, into: work.dReadWrites)
    SmallMatrix.transpose(
      work.v, ld: valueStride, rows: rows, columns: paddedValues, into: work.transposed, ld: C)
    multiplyRight(work.dO, work.transposed, C, rows, rows, .lowerResult, into: work.dQueryKeys)
    multiplyRight(work.lambda, work.transposed, C, rows, rows, .lowerResult, into: work.dReadKeys)
  }

  private func multiplyRight(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ stride: Int, _ rows: Int,
    _ columns: Int, _ structure: SmallMatrix.Structure = .full,
    into c: UnsafeMutablePointer<Float>
  ) {
    SmallMatrix.multiply(
      a, lda: valueStride, b, ldb: stride, into: c, ldc: stride, rows: rows, columns: columns,
      inner: paddedValues, structure: structure)
  }

  /// Hands a chunk's gradients out: rows without padding, and no `dg` where the log decay is clamped.
  private func emit(
    _ chunk: DeltaChunk, _ head: RecurrenceHead, _ gradient: RecurrenceGradient,
    _ work: LowRankWorkspace
  ) {
    ChunkRows.emit(work.dq, keyStride, chunk, keyDimension, scale: scale, into: gradient.dq)
    ChunkRows.emit(work.dk, keyStride, chunk, keyDimension, into: gradient.dk)
    ChunkRows.emit(work.dv, valueStride, chunk, valueDimension, into: gradient.dv)
    if let da = gradient.da { ChunkRows.emit(work.da, keyStride, chunk, keyDimension, into: da) }
    if let db = gradient.db { ChunkRows.emit(work.db, keyStride, chunk, keyDimension, into: db) }
    guard decay != .none, let g = head.g, let dg = gradient.dg else { return }
    if decay == .scalar {
      for i in 0..<chunk.tokens.count {
        var sum = Lanes()
        for d in stride(from: 0, to: paddedKeys, by: Lanes.width) {
          sum += Lanes.load(work.dg + (i &* keyStride &+ d))
        }
        work.dg[i * keyStride] = sum.sum()
      }
    }
    let columns = decayDimension
    Rows.clearClamped(
      g[chunk.tokens.lowerBound], stride: g.stride, rows: chunk.tokens.count, columns: columns,
      in: work.dg, ld: keyStride)
    ChunkRows.emit(work.dg, keyStride, chunk, columns, into: dg)
  }
}
