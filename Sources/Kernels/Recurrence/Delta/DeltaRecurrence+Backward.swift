/// The backward twin. With `D` the gradient of the state after a chunk, `N^o = tril(dO Eᵀ)` and
/// `N^λ = tril(λ Eᵀ, −1)`:
///
///     λ = Xᵀ diag(β) (Pᵀ dO + (K ⊙ e^{b_C−b}) D)      dV = λ
///     dS = e^{b_C} ⊙ D + (Q ⊙ e^b)ᵀ dO − (K ⊙ e^b)ᵀ λ
///     dP = N^o diag(β)      dL = −N^λ diag(β)      dβ = colsum(P ⊙ N^o − L ⊙ N^λ) + rowsum(K ⊙ w)
///     dQ = e^b ⊙ dO Sᵀ + (what dP gives)      w = e^{b_C−b} ⊙ (E Dᵀ)
///     dK = −e^b ⊙ λ Sᵀ + β w + (what dP and dL give)
///     dg_l = Σ_{i ≥ l > j} Z_ij + Σ_{i ≥ l} e^{b_i} ⊙ (q_i ⊙ dO_i Sᵀ − k_i ⊙ λ_i Sᵀ) + Σ_{j < l} β_j k_j ⊙ w_j
///            + e^{b_C} ⊙ rowsum(S ⊙ D),      Z_ij = (dP_ij q_i + dL_ij k_i) ⊙ k_j ⊙ e^{b_i−b_j}
///
/// Every term of `dg_l` contains `e^{g_l}`. The sums are formed from those terms alone, never as a difference of
/// sums that contain others: a strong decay's gradient is tiny, and multiplied by the large decay on its way to
/// the rate, so what rounding leaves of others' terms would drown it. Where a log decay is clamped, `dg` is 0.
extension DeltaRecurrence {
  /// See `RecurrenceKernel`.
  package func summarizeBackward(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    state: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
  ) {
    let work = DeltaWorkspace(self, at: scratch, for: head)
    pad(nil, into: work.dState)
    for chunk in plan.chunks.indices.reversed() {
      let shape = load(head, plan.chunks[chunk], work)
      touch(gradient.dO, plan.chunks[chunk], valueDimension, work)
      copy(gradient.dO, shape, valueDimension, into: work.dO, valueStride)
      let here = Kept(self, plan, chunk: chunk, kept)
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
    let work = DeltaWorkspace(self, at: scratch, for: head)
    let shape = load(head, plan.chunks[chunk], work)
    touch(gradient.dO, plan.chunks[chunk], valueDimension, work)
    copy(gradient.dO, shape, valueDimension, into: work.dO, valueStride)
    let here = Kept(self, plan, chunk: chunk, kept)
    let dState = keptBackward
    touch(here.state, paddedKeys * valueStride, work)
    touch(here.errors, shape.rows * (valueStride + 3 * chunkLength), work)
    solve(shape, here, dState: dState, work)
    multiplyStates(shape, here, dState: dState, work)
    if decay == .vector {
      differentiateVectorDecay(shape, here, dState: dState, work)
    } else {
      differentiate(shape, here, dState: dState, work)
    }
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

  /// `λ = Xᵀ diag(β) (Pᵀ dO + (K ⊙ e^{b_C−b}) D)`.
  private func solve(
    _ chunk: DeltaChunk, _ here: Kept, dState: UnsafeMutablePointer<Float>, _ work: DeltaWorkspace
  ) {
    let (rows, C) = (chunk.rows, chunkLength)
    scaleColumns(here.attention, by: work.beta, rows: rows, into: work.square)
    SmallMatrix.multiply(
      work.square, lda: C, transposed: true, work.dO, ldb: valueStride, into: work.dE,
      ldc: valueStride, rows: rows, columns: paddedValues, inner: rows, structure: .upperLeft)
    work.multiply(
      work.writeKeys, lda: keyStride, dState, ldb: valueStride, into: work.dE, ldc: valueStride,
      rows: rows, columns: paddedValues, inner: paddedKeys, store: .add)
    SmallMatrix.multiply(
      here.inverse, lda: C, transposed: true, work.dE, ldb: valueStride, into: work.lambda,
      ldc: valueStride, rows: rows, columns: paddedValues, inner: rows, structure: .upperLeft)
  }

  /// `D` before the chunk from `D` after it.
  private func retreat(
    _ chunk: DeltaChunk, isReset: Bool, dState: UnsafeMutablePointer<Float>, _ work: DeltaWorkspace
  ) {
    if isReset { return pad(nil, into: dState) }
    work.multiply(
      work.readQueries, lda: keyStride, transposed: true, work.dO, ldb: valueStride, into: dState,
      ldc: valueStride, rows: paddedKeys, columns: paddedValues, inner: chunk.rows,
      store: .addScaled(dState, ld: valueStride, by: work.decay))
    work.multiply(
      work.negativeKeys, lda: keyStride, transposed: true, work.lambda, ldb: valueStride,
      into: dState, ldc: valueStride, rows: paddedKeys, columns: paddedValues, inner: chunk.rows,
      store: .add)
  }

  /// `dO Sᵀ`, `λ Sᵀ`, `E Dᵀ`, `tril(dO Eᵀ)` and `tril(λ Eᵀ)`.
  private func multiplyStates(
    _ chunk: DeltaChunk, _ here: Kept, dState: UnsafeMutablePointer<Float>, _ work: DeltaWorkspace
  ) {
    let (rows, C) = (chunk.rows, chunkLength)
    let state = Right(here.state, paddedKeys, in: work.stateTransposed, keyStride, self, work)
    multiply(work.dO, state, rows, into: work.dq, work)
    multiply(work.lambda, state, rows, into: work.dk, work)
    let gradient = Right(dState, paddedKeys, in: work.stateTransposed, keyStride, self, work)
    multiply(here.errors, gradient, rows, into: work.dWrite, work)
    let errors = Right(here.errors, rows, in: work.transposed, C, self, work)
    multiply(work.dO, errors, rows, .lowerResult, into: work.outputError, work)
    multiply(work.lambda, errors, rows, .lowerResult, into: work.stepError, work)
  }

  /// A matrix whose transpose multiplies from the right.
  private struct Right {
    /// Rows `valueStride` apart, and how many there are.
    let rows: UnsafePointer<Float>
    let count: Int
    /// The transpose, rows `stride` apart, as those of products are; not set where operands are rounded.
    let transposed: UnsafeMutablePointer<Float>
    let stride: Int

    init(
      _ rows: UnsafePointer<Float>, _ count: Int, in room: UnsafeMutablePointer<Float>,
      _ stride: Int, _ kernel: DeltaRecurrence, _ work: DeltaWorkspace
    ) {
      (self.rows, self.count, self.stride) = (rows, count, stride)
      transposed = room
      if work.isRounded { return }
      SmallMatrix.transpose(
        rows, ld: kernel.valueStride, rows: count, columns: kernel.paddedValues, into: room,
        ld: stride)
    }
  }

  private func multiply(
    _ a: UnsafePointer<Float>, _ b: Right, _ rows: Int,
    _ structure: SmallMatrix.Structure = .full, into c: UnsafeMutablePointer<Float>,
    _ work: DeltaWorkspace
  ) {
    if work.isRounded {
      work.multiplyTransposedRight(
        a, lda: valueStride, b.rows, ldb: valueStride, into: c, ldc: b.stride, rows: rows,
        columns: b.count, inner: paddedValues, structure: structure, scratch: b.transposed)
    } else {
      SmallMatrix.multiply(
        a, lda: valueStride, b.transposed, ldb: b.stride, into: c, ldc: b.stride, rows: rows,
        columns: b.count, inner: paddedValues, structure: structure)
    }
  }

  /// `dQ`, `dK`, `dβ` and `dg` for a scalar decay, or none.
  private func differentiate(
    _ chunk: DeltaChunk, _ here: Kept, dState: UnsafeMutablePointer<Float>, _ work: DeltaWorkspace
  ) {
    let (rows, C) = (chunk.rows, chunkLength)
    decayBetween(chunk, work)
    differentiateSquares(chunk, here, work)
    mirror(work.symmetric, rows: rows)
    let written = work.square
    for i in 0..<rows {
      let row = i * keyStride
      let (readQueries, negativeKeys) = (work.readQueries + row, work.negativeKeys + row)
      let (k, dq, dk, dWrite) = (work.k + row, work.dq + row, work.dk + row, work.dWrite + row)
      let read = Lanes(repeating: work.fromStart[i])
      let write = Lanes(repeating: work.beta[i] * work.toEnd[i])
      var (crossing, own) = (Lanes(), Lanes())
      for d in stride(from: 0, to: paddedKeys, by: Lanes.width) {
        let (fromState, fromError) = (Lanes.load(dq + d), Lanes.load(dk + d))
        let toState = Lanes.load(dWrite + d)
        crossing = crossing.addingProduct(fromState, Lanes.load(readQueries + d))
        crossing = crossing.addingProduct(fromError, Lanes.load(negativeKeys + d))
        own = own.addingProduct(toState, Lanes.load(k + d))
        (read * fromState).store(dq + d)
        (write * toState - read * fromError).store(dk + d)
      }
      let step = work.toEnd[i] * own.sum()
      work.dbeta[i] += step
      work.dg[i] = crossing.sum()
      written[i] = work.beta[i] * step
    }
    sumDecayGradients(chunk, Double(work.decay[0] * stateProduct(here.state, dState)), work)
    SmallMatrix.multiply(
      work.outputError, lda: C, work.k, ldb: keyStride, into: work.dq, ldc: keyStride, rows: rows,
      columns: paddedKeys, inner: rows, store: .add, structure: .lowerLeft)
    SmallMatrix.multiply(
      work.outputError, lda: C, transposed: true, work.q, ldb: keyStride, into: work.dk,
      ldc: keyStride, rows: rows, columns: paddedKeys, inner: rows, store: .add,
      structure: .upperLeft)
    SmallMatrix.multiply(
      work.symmetric, lda: C, work.k, ldb: keyStride, into: work.dk, ldc: keyStride, rows: rows,
      columns: paddedKeys, inner: rows, store: .add)
  }

  /// `dg` of a scalar decay: from `dg`, `pairs` and `square`, which hold each token's terms, and `⟨e^{b_C} S, D⟩`.
  private func sumDecayGradients(
    _ chunk: DeltaChunk, _ throughout: Double, _ work: DeltaWorkspace
  ) {
    var reads = 0.0
    for i in (0..<chunk.tokens.count).reversed() {
      reads += Double(work.dg[i])
      work.dg[i] = Float(reads + Double(work.pairs[i]))
    }
    var writes = throughout
    for i in 0..<chunk.tokens.count {
      work.dg[i] = Float(Double(work.dg[i]) + writes)
      writes += Double(work.square[i])
    }
  }

  /// From `N^o` and `N^λ`: their shares of `dβ` and, for a scalar decay, of `dg` (in `pairs`); `dP ⊙ Γ` in the
  /// place of `N^o`, `dL ⊙ Γ` in the lower triangle of `symmetric`.
  ///
  /// Rows from the last: what columns before a token have summed up by then is what crosses it.
  func differentiateSquares(
    _ chunk: DeltaChunk, _ here: Kept, _ work: DeltaWorkspace
  ) {
    let (rows, C) = (chunk.rows, chunkLength)
    work.dbeta.update(repeating: 0, count: rows)
    for i in (0..<rows).reversed() {
      let row = i * C
      let (attention, overlap) = (here.attention + row, here.overlap + row)
      let (outputError, stepError) = (work.outputError + row, work.stepError + row)
      let (gamma, symmetric) = (work.gamma + row, work.symmetric + row)
      let ownPair = outputError[i]
      outputError[i] = 0
      stepError[i] = 0
      var sum = Lanes()
      for j in stride(from: 0, to: Self.padded(i + 1), by: Lanes.width) {
        let (o, e) = (Lanes.load(outputError + j), Lanes.load(stepError + j))
        let beta = Lanes.load(work.beta + j)
        let outside = Lanes.load(gamma + j) .== 0
        let pair = (Lanes.load(attention + j) * o - Lanes.load(overlap + j) * e)
          .replacing(with: 0, where: outside)
        let factor = Lanes.load(gamma + j) * beta
        let pairs = Lanes.load(work.dbeta + j) + pair
        sum = sum.addingProduct(pairs.first(max(0, min(Lanes.width, i - j))), beta)
        pairs.store(work.dbeta + j)
        (factor * o).replacing(with: 0, where: outside).store(outputError + j)
        (Lanes() - factor * e).replacing(with: 0, where: outside).store(symmetric + j)
      }
      outputError[i] = work.beta[i] * ownPair
      work.pairs[i] = sum.sum()
      work.square[i] = ownPair * attention[i]
    }
    for i in 0..<rows { work.dbeta[i] += work.square[i] }
  }

  /// Completes a symmetric matrix from its lower triangle.
  private func mirror(_ a: UnsafeMutablePointer<Float>, rows: Int) {
    for i in 0..<rows {
      for j in 0..<i { a[j * chunkLength + i] = a[i * chunkLength + j] }
    }
  }

  /// `⟨S, D⟩`.
  private func stateProduct(
    _ state: UnsafePointer<Float>, _ dState: UnsafePointer<Float>
  ) -> Float {
    var (even, odd) = (Lanes(), Lanes())
    for d in 0..<paddedKeys {
      let (s, t) = (state + d * valueStride, dState + d * valueStride)
      for x in stride(from: 0, to: paddedValues, by: 16) {
        even = even.addingProduct(Lanes.load(s + x), Lanes.load(t + x))
        if Lanes.width == 8 {
          odd = odd.addingProduct(Lanes.load(s + (x + 8)), Lanes.load(t + (x + 8)))
        }
      }
    }
    return even.sum() + odd.sum()
  }

  /// Hands a chunk's gradients out: rows without padding, and no `dg` where the log decay is clamped.
  private func emit(
    _ chunk: DeltaChunk, _ head: RecurrenceHead, _ gradient: RecurrenceGradient,
    _ work: DeltaWorkspace
  ) {
    emit(work.dq, keyStride, chunk, keyDimension, scale: scale, into: gradient.dq)
    emit(work.dk, keyStride, chunk, keyDimension, into: gradient.dk)
    emit(work.lambda, valueStride, chunk, valueDimension, into: gradient.dv)
    if let dbeta = gradient.dbeta {
      emit(work.dbeta, 1, chunk, 1, into: dbeta)
    }
    guard decay != .none, let g = head.g, let dg = gradient.dg else { return }
    let (stride, columns) = decay == .vector ? (keyStride, keyDimension) : (1, 1)
    Rows.clearClamped(
      g[chunk.tokens.lowerBound], stride: g.stride, rows: chunk.tokens.count, columns: columns,
      in: work.dg, ld: stride)
    emit(work.dg, stride, chunk, columns, into: dg)
  }
}
