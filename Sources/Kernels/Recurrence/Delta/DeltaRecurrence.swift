/// The delta-rule family: no decay, a scalar decay (gated delta rule), or a vector decay (KDA).
///
/// Concretely: `S̄_t = diag(e^{g_t}) S_{t−1}`, `S_t = S̄_t + β_t k_tᵀ (v_t − k_t S̄_t)` and
/// `o_t = scale · q_t S_t`. Within a chunk, with `b` the sum of `g` up to a token, the errors
/// `E = v − k S̄` of all tokens follow from the state `S` before the chunk by one triangular solve:
///
///     L_ij = Σ_d k_id k_jd e^{b_id − b_jd}  (i > j)        P_ij = Σ_d q_id k_jd e^{b_id − b_jd}  (i ≥ j)
///     X = (I + L diag(β))⁻¹      E = X (V − (K ⊙ e^b) S)
///     O = (Q ⊙ e^b) S + P diag(β) E      S' = e^{b_C} ⊙ S + (K ⊙ e^{b_C−b})ᵀ diag(β) E
///
/// The map `M` of a shard is what this recurrence makes of the identity when all values are zero, so
/// `[M | B]` is one run over a state of `K + V` columns. Kept for the backward pass are, of each chunk,
/// its state, `E`, `X`, `P` and `L`. Decays inside a chunk are products of factors `e^{g}` ≤ 1, and
/// `b` is summed in Double, so nothing overflows and no difference of large numbers is formed.
///
/// Where queries, keys and values are bf16, so are the operands of products with states and of `Q Kᵀ` and `K Kᵀ`, with sums in
/// fp32; the triangular matrices of a chunk and what a shard's map is made of multiply in fp32.
///
/// - Complexity: `O(T · (C·(K + V) + K·V))` forward for chunks of `C` tokens; three times that backward.
/// - Source: DeltaNet (arXiv 2406.06484), Gated DeltaNet (2412.06464), Kimi Linear (2510.26692).
package struct DeltaRecurrence: RecurrenceKernel, PaddedStates {
  /// Where the decay comes from.
  package enum Decay: Sendable {
    /// There is none.
    case none
    /// `RecurrenceHead.g`, one float a token.
    case scalar
    /// `RecurrenceHead.g`, `K` floats a token.
    case vector
  }

  /// The most numbers of a key.
  package static let mostKeys = 256

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
      (1...Self.mostKeys).contains(keyDimension) && (1...256).contains(valueDimension),
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
  /// `M` depends on keys, steps and gates.
  package var isMapKnown: Bool { false }

  /// `K` and `V` in whole blocks of 16.
  var paddedKeys: Int { Self.padded(keyDimension) }
  var paddedValues: Int { Self.padded(valueDimension) }
  /// Floats from one row of `paddedKeys` or `paddedValues` to the next.
  var keyStride: Int { Self.rowLength(paddedKeys) }
  var valueStride: Int { Self.rowLength(paddedValues) }

  static func padded(_ count: Int) -> Int { ChunkRows.padded(count) }
  static func rowLength(_ columns: Int) -> Int { ChunkRows.rowLength(columns) }

  /// Floats of scratch.
  package var scratchCount: Int { DeltaWorkspace.count(self) }

  /// Floats kept: of each chunk its state before, `E`, `X`, `P`, `L`; and the last state.
  package func keptCount(_ plan: ChunkPlan) -> Int {
    (plan.chunks.count + 1) * paddedKeys * valueStride
      + (plan.tokens + 16 * plan.chunks.count) * (valueStride + 3 * chunkLength)
  }

  /// Floats kept in the backward pass: the gradient of the state.
  package func keptBackwardCount(_ plan: ChunkPlan) -> Int { paddedKeys * valueStride }

  /// Where a chunk's part of `kept` lies.
  struct Kept {
    /// States before and after the chunk, `[K, V]`, rows `valueStride` apart.
    let state, next: UnsafeMutablePointer<Float>
    /// `E`, rows `valueStride` apart; `X`, `P` and `L`, rows `chunkLength` apart.
    let errors, inverse, attention, overlap: UnsafeMutablePointer<Float>

    init(
      _ kernel: DeltaRecurrence, _ plan: ChunkPlan, chunk: Int, _ base: UnsafeMutablePointer<Float>
    ) {
      let stateCount = kernel.paddedKeys * kernel.valueStride
      let C = kernel.chunkLength
      let rows = DeltaRecurrence.padded(plan.chunks[chunk].count)
      state = base + chunk * stateCount
      next = state + stateCount
      errors =
        base + (plan.chunks.count + 1) * stateCount
        + (plan.chunks[chunk].lowerBound + 16 * chunk) * (kernel.valueStride + 3 * C)
      inverse = errors + rows * kernel.valueStride
      attention = inverse + rows * C
      overlap = attention + rows * C
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
    let work = DeltaWorkspace(self, at: scratch, for: head)
    let mapColumns = plan.containsStart ? 0 : paddedKeys
    let columns = mapColumns + paddedValues
    let stride = work.wideStride
    let rows = work.wideRows
    work.wideState.update(repeating: 0, count: paddedKeys * stride)
    for d in 0..<mapColumns { work.wideState[d * stride + d] = 1 }
    for chunk in plan.chunks.indices {
      let here = Kept(self, plan, chunk: chunk, kept)
      let shape = load(head, plan.chunks[chunk], work)
      relate(shape, here, work)
      if plan.resets[chunk] {
        work.wideState.update(repeating: 0, count: paddedKeys * stride)
      }
      for i in 0..<shape.rows {
        (rows + i * stride).update(repeating: 0, count: mapColumns)
        (rows + i * stride + mapColumns)
          .update(from: work.v + i * valueStride, count: paddedValues)
      }
      SmallMatrix.multiply(
        work.negativeKeys, lda: keyStride, work.wideState, ldb: stride, into: rows, ldc: stride,
        rows: shape.rows, columns: columns, inner: paddedKeys, store: .add)
      SmallMatrix.multiply(
        here.inverse, lda: chunkLength, rows, ldb: stride, into: work.wideErrors, ldc: stride,
        rows: shape.rows, columns: columns, inner: shape.rows, structure: .lowerLeft)
      SmallMatrix.multiply(
        work.writeKeys, lda: keyStride, transposed: true, work.wideErrors, ldb: stride,
        into: work.wideState, ldc: stride, rows: paddedKeys, columns: columns, inner: shape.rows,
        store: .addScaled(work.wideState, ld: stride, by: work.decay))
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

  /// Nothing: every part of `o` depends on the state, by way of `E`.
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
    let work = DeltaWorkspace(self, at: scratch, for: head)
    let shape = load(head, plan.chunks[chunk], work)
    advance(plan, chunk, shape, Kept(self, plan, chunk: chunk, kept), o, work)
  }

  /// See `RecurrenceKernel`.
  package func forward(
    _ head: RecurrenceHead, _ plan: ChunkPlan, kept: UnsafeMutablePointer<Float>,
    initial: UnsafePointer<Float>?, o: MutableTokenRows, final: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    let work = DeltaWorkspace(self, at: scratch, for: head)
    begin(initial, plan, kept: kept)
    for chunk in plan.chunks.indices {
      let here = Kept(self, plan, chunk: chunk, kept)
      let shape = load(head, plan.chunks[chunk], work)
      relate(shape, here, work)
      advance(plan, chunk, shape, here, o, work)
    }
    unpad(kept + plan.chunks.count * paddedKeys * valueStride, into: final)
  }

  /// `E`, `o` and the next state from the state before a chunk.
  private func advance(
    _ plan: ChunkPlan, _ chunk: Int, _ shape: DeltaChunk, _ here: Kept, _ o: MutableTokenRows,
    _ work: DeltaWorkspace
  ) {
    let (rows, C) = (shape.rows, chunkLength)
    if plan.resets[chunk] { pad(nil, into: here.state) }
    work.multiply(
      work.negativeKeys, lda: keyStride, here.state, ldb: valueStride, into: work.v,
      ldc: valueStride, rows: rows, columns: paddedValues, inner: paddedKeys, store: .add)
    SmallMatrix.multiply(
      here.inverse, lda: C, work.v, ldb: valueStride, into: here.errors, ldc: valueStride,
      rows: rows, columns: paddedValues, inner: rows, structure: .lowerLeft)
    let output = o[shape.tokens.lowerBound]
    work.multiply(
      work.readQueries, lda: keyStride, here.state, ldb: valueStride, into: output, ldc: o.stride,
      rows: shape.tokens.count, columns: valueDimension, inner: paddedKeys)
    scaleColumns(here.attention, by: work.beta, rows: rows, into: work.square)
    SmallMatrix.multiply(
      work.square, lda: C, here.errors, ldb: valueStride, into: output, ldc: o.stride,
      rows: shape.tokens.count, columns: valueDimension, inner: rows, store: .add,
      structure: .lowerLeft)
    if chunk + 1 < plan.chunks.count && plan.resets[chunk + 1] { return }
    // What is added to rounded products stands where they go.
    if work.isRounded { here.next.update(from: here.state, count: paddedKeys * valueStride) }
    work.multiply(
      work.writeKeys, lda: keyStride, transposed: true, here.errors, ldb: valueStride,
      into: here.next, ldc: valueStride, rows: paddedKeys, columns: paddedValues, inner: rows,
      store: .addScaled(
        work.isRounded ? here.next : here.state, ld: valueStride, by: work.decay))
  }

  /// `A diag(f)` of a lower triangle.
  func scaleColumns(
    _ a: UnsafePointer<Float>, by factors: UnsafePointer<Float>, rows: Int,
    into result: UnsafeMutablePointer<Float>
  ) {
    for i in 0..<rows {
      let (source, target) = (a + i * chunkLength, result + i * chunkLength)
      for j in 0..<Self.padded(i + 1) { target[j] = source[j] * factors[j] }
    }
  }
}
