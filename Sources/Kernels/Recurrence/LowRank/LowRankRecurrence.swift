/// A linear recurrence whose transition is a diagonal plus a product of two vectors from data (DPLR).
///
/// Concretely, per token: `S_t = diag(e^{g_t}) S_{t−1} + b_tᵀ (a_t S_{t−1}) + k_tᵀ v_t` and `o_t = scale · q_t S_t`.
/// Within a chunk, with `B` the sum of `g` up to a token and `B⁻` that before it, what the tokens read, `U = a S`, follows
/// from the state `S` before the chunk by one triangular solve:
///
///     A_ab[i,j] = Σ_d a_id b_jd e^{B⁻_id − B_jd}, A_ak likewise  (i > j)
///     A_qb[i,j] = Σ_d q_id b_jd e^{B_id − B_jd}, A_qk likewise  (i ≥ j)
///     X = (I − A_ab)⁻¹      U = X ((a ⊙ e^{B⁻}) S + A_ak V)
///     O = (q ⊙ e^B) S + A_qb U + A_qk V      S' = e^{B_C} ⊙ S + (b ⊙ e^{B_C−B})ᵀ U + (k ⊙ e^{B_C−B})ᵀ V
///
/// The delta rules are cases of it; they have a faster kernel, `DeltaRecurrence`. `[M | B]` is one run over a state of
/// `K + V` columns. Kept for the backward pass are, of each chunk, its state, `U`, `X` and the last three squares. All
/// decays are products of factors `e^{g}` ≤ 1 or sums in Double, so nothing overflows.
///
/// - Complexity: `O(T · (C·(K + V) + K·V))` forward for chunks of `C` tokens; three times that backward.
/// - Source: RWKV-7 (arXiv 2503.14456), Comba (2506.02475); chunked form as DeltaNet's (2406.06484).
package struct LowRankRecurrence: RecurrenceKernel, PaddedStates {
  /// Where the decay comes from.
  package typealias Decay = DeltaRecurrence.Decay

  /// `K`, 1…256.
  package let keyDimension: Int
  /// `V`, 1…256.
  package let valueDimension: Int
  /// Where the decay comes from.
  package let decay: Decay
  /// What outputs are multiplied by.
  package let scale: Float

  /// A kernel for states of shape `[K, V]`.
  package init(_ decay: Decay, keyDimension: Int, valueDimension: Int, scale: Float = 1) {
    precondition(
      (1...256).contains(keyDimension) && (1...256).contains(valueDimension),
      "a state of \(keyDimension) × \(valueDimension); both must be 1…256")
    (self.keyDimension, self.valueDimension) = (keyDimension, valueDimension)
    (self.decay, self.scale) = (decay, scale)
  }

  /// Tokens in a full chunk.
  package var chunkLength: Int { 32 }
  /// Floats of `g` a token.
  package var decayDimension: Int { decay == .vector ? keyDimension : 1 }
  /// `M` is a matrix.
  package var mapKind: StateMapKind { .matrix }
  /// `M` depends on data.
  package var isMapKnown: Bool { false }

  /// `K` and `V` in whole blocks of 16.
  var paddedKeys: Int { ChunkRows.padded(keyDimension) }
  var paddedValues: Int { ChunkRows.padded(valueDimension) }
  /// Floats from one row of `paddedKeys` or `paddedValues` to the next.
  var keyStride: Int { ChunkRows.rowLength(paddedKeys) }
  var valueStride: Int { ChunkRows.rowLength(paddedValues) }

  /// Floats of scratch.
  package var scratchCount: Int { LowRankWorkspace.count(self) }

  /// Floats kept: of each chunk its state before, `U`, `X`, `A_ak`, `A_qb`, `A_qk`; and the last state.
  package func keptCount(_ plan: ChunkPlan) -> Int {
    (plan.chunks.count + 1) * paddedKeys * valueStride
      + (plan.tokens + 16 * plan.chunks.count) * (valueStride + 4 * chunkLength)
  }

  /// Floats kept in the backward pass: the gradient of the state.
  package func keptBackwardCount(_ plan: ChunkPlan) -> Int { paddedKeys * valueStride }

  /// Where a chunk's part of `kept` lies.
  struct Kept {
    /// States before and after the chunk, `[K, V]`, rows `valueStride` apart.
    let state, next: UnsafeMutablePointer<Float>
    /// `U`, rows `valueStride` apart.
    let reads: UnsafeMutablePointer<Float>
    /// `X`, `A_ak`, `A_qb` and `A_qk`, rows `chunkLength` apart.
    let inverse, readKeys, queryWrites, queryKeys: UnsafeMutablePointer<Float>

    init(
      _ kernel: LowRankRecurrence, _ plan: ChunkPlan, chunk: Int,
      _ base: UnsafeMutablePointer<Float>
    ) {
      let stateCount = kernel.paddedKeys * kernel.valueStride
      let C = kernel.chunkLength
      let rows = ChunkRows.padded(plan.chunks[chunk].count)
      state = base + chunk * stateCount
      next = state + stateCount
      reads =
        base + (plan.chunks.count + 1) * stateCount
        + (plan.chunks[chunk].lowerBound + 16 * chunk) * (kernel.valueStride + 4 * C)
      inverse = reads + rows * kernel.valueStride
      readKeys = inverse + rows * C
      queryWrites = readKeys + rows * C
      queryKeys = queryWrites + rows * C
    }
  }

  // MARK: Forward

  /// See `RecurrenceKernel`.
  package func summarize(
    _ head: RecurrenceHead, _ plan: ChunkPlan, kept: UnsafeMutablePointer<Float>,
    map: UnsafeMutablePointer<Float>, state: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    let (K, V) = (keyDimension, valueDimension)
    let work = LowRankWorkspace(self, at: scratch)
    let mapColumns = plan.containsStart ? 0 : paddedKeys
    let columns = mapColumns + paddedValues
    let stride = work.wideStride
    work.wideState.update(repeating: 0, count: paddedKeys * stride)
    for d in 0..<mapColumns { work.wideState[d * stride + d] = 1 }
    for chunk in plan.chunks.indices {
      let here = Kept(self, plan, chunk: chunk, kept)
      let shape = load(head, plan.chunks[chunk], work)
      relate(shape, here, work)
      if plan.resets[chunk] {
        work.wideState.update(repeating: 0, count: paddedKeys * stride)
      }
      SmallMatrix.multiply(
        work.readStates, lda: keyStride, work.wideState, ldb: stride, into: work.wideRows,
        ldc: stride, rows: shape.rows, columns: columns, inner: paddedKeys)
      SmallMatrix.multiply(
        here.readKeys, lda: chunkLength, work.v, ldb: valueStride, into: work.wideRows + mapColumns,
        ldc: stride, rows: shape.rows, columns: paddedValues, inner: shape.rows, store: .add,
        structure: .lowerLeft)
      SmallMatrix.multiply(
        here.inverse, lda: chunkLength, work.wideRows, ldb: stride, into: work.wideReads,
        ldc: stride, rows: shape.rows, columns: columns, inner: shape.rows, structure: .lowerLeft)
      SmallMatrix.multiply(
        work.writes, lda: keyStride, transposed: true, work.wideReads, ldb: stride,
        into: work.wideState, ldc: stride, rows: paddedKeys, columns: columns, inner: shape.rows,
        store: .addScaled(work.wideState, ld: stride, by: work.decay))
      SmallMatrix.multiply(
        work.writeKeys, lda: keyStride, transposed: true, work.v, ldb: valueStride,
        into: work.wideState + mapColumns, ldc: stride, rows: paddedKeys, columns: paddedValues,
        inner: shape.rows, store: .add)
    }
    for d in 0..<K {
      if mapColumns > 0 {
        (map + d * K).update(from: work.wideState + d * stride, count: K)
      } else {
        (map + d * K).update(repeating: 0, count: K)
      }
      (state + d * V).update(from: work.wideState + (d * stride + mapColumns), count: V)
    }
  }

  /// Nothing: what needs no state is too little to be worth a pass of its own.
  package func outputIntra(
    _ head: RecurrenceHead, _ plan: ChunkPlan, chunk: Int, kept: UnsafeMutablePointer<Float>,
    o: MutableTokenRows, scratch: UnsafeMutablePointer<Float>
  ) {}

  /// See `RecurrenceKernel`.
  package func begin(
    _ initial: UnsafePointer<Float>?, _ plan: ChunkPlan, kept: UnsafeMutablePointer<Float>
  ) {
    pad(initial, into: kept)
  }

  /// Writes `o` whole; see `RecurrenceKernel`.
  package func outputInter(
    _ head: RecurrenceHead, _ plan: ChunkPlan, chunk: Int, kept: UnsafeMutablePointer<Float>,
    o: MutableTokenRows, scratch: UnsafeMutablePointer<Float>
  ) {
    let work = LowRankWorkspace(self, at: scratch)
    let shape = load(head, plan.chunks[chunk], work)
    advance(plan, chunk, shape, Kept(self, plan, chunk: chunk, kept), o, work)
  }

  /// See `RecurrenceKernel`.
  package func forward(
    _ head: RecurrenceHead, _ plan: ChunkPlan, kept: UnsafeMutablePointer<Float>,
    initial: UnsafePointer<Float>?, o: MutableTokenRows, final: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    let work = LowRankWorkspace(self, at: scratch)
    begin(initial, plan, kept: kept)
    for chunk in plan.chunks.indices {
      let here = Kept(self, plan, chunk: chunk, kept)
      let shape = load(head, plan.chunks[chunk], work)
      relate(shape, here, work)
      advance(plan, chunk, shape, here, o, work)
    }
    unpad(kept + plan.chunks.count * paddedKeys * valueStride, into: final)
  }

  /// `U`, `o` and the next state from the state before a chunk.
  private func advance(
    _ plan: ChunkPlan, _ chunk: Int, _ shape: DeltaChunk, _ here: Kept, _ o: MutableTokenRows,
    _ work: LowRankWorkspace
  ) {
    let (rows, C) = (shape.rows, chunkLength)
    if plan.resets[chunk] { pad(nil, into: here.state) }
    SmallMatrix.multiply(
      work.readStates, lda: keyStride, here.state, ldb: valueStride, into: work.seen,
      ldc: valueStride, rows: rows, columns: paddedValues, inner: paddedKeys)
    SmallMatrix.multiply(
      here.readKeys, lda: C, work.v, ldb: valueStride, into: work.seen, ldc: valueStride,
      rows: rows, columns: paddedValues, inner: rows, store: .add, structure: .lowerLeft)
    SmallMatrix.multiply(
      here.inverse, lda: C, work.seen, ldb: valueStride, into: here.reads, ldc: valueStride,
      rows: rows, columns: paddedValues, inner: rows, structure: .lowerLeft)
    let (output, tokens) = (o[shape.tokens.lowerBound], shape.tokens.count)
    SmallMatrix.multiply(
      work.readQueries, lda: keyStride, here.state, ldb: valueStride, into: output, ldc: o.stride,
      rows: tokens, columns: valueDimension, inner: paddedKeys)
    SmallMatrix.multiply(
      here.queryWrites, lda: C, here.reads, ldb: valueStride, into: output, ldc: o.stride,
      rows: tokens, columns: valueDimension, inner: rows, store: .add, structure: .lowerLeft)
    SmallMatrix.multiply(
      here.queryKeys, lda: C, work.v, ldb: valueStride, into: output, ldc: o.stride,
      rows: tokens, columns: valueDimension, inner: rows, store: .add, structure: .lowerLeft)
    if chunk + 1 < plan.chunks.count && plan.resets[chunk + 1] { return }
    SmallMatrix.multiply(
      work.writes, lda: keyStride, transposed: true, here.reads, ldb: valueStride,
      into: here.next, ldc: valueStride, rows: paddedKeys, columns: paddedValues, inner: rows,
      store: .addScaled(here.state, ld: valueStride, by: work.decay))
    SmallMatrix.multiply(
      work.writeKeys, lda: keyStride, transposed: true, work.v, ldb: valueStride,
      into: here.next, ldc: valueStride, rows: paddedKeys, columns: paddedValues, inner: rows,
      store: .add)
  }
}
