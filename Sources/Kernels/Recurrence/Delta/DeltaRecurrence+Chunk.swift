import Tensors

extension DeltaRecurrence {
  /// Copies a chunk's rows into scratch, padded with zeros, and scales them by the decays.
  func load(_ head: RecurrenceHead, _ tokens: Range<Int>, _ work: DeltaWorkspace) -> DeltaChunk {
    let chunk = DeltaChunk(tokens: tokens, rows: Self.padded(tokens.count))
    touch(head.q, tokens, keyDimension, work)
    touch(head.k, tokens, keyDimension, work)
    touch(head.v, tokens, valueDimension, work)
    guard let beta = head.beta else { preconditionFailure("a delta rule reads beta") }
    for i in 0..<chunk.rows {
      work.beta[i] = i < tokens.count ? beta[tokens.lowerBound + i][0] : 0
    }
    copy(head.v, chunk, valueDimension, into: work.v, valueStride)
    if decay == .vector {
      copy(head.q, chunk, keyDimension, scale: scale, into: work.q, keyStride)
      copy(head.k, chunk, keyDimension, into: work.k, keyStride)
      loadVectorDecays(head, chunk, work)
      return chunk
    }
    loadDecays(head, chunk, work)
    let (q, k) = (head.q, head.k)
    switch (q.kind, k.kind) {
    case (.float, .float): scale(q.base, q.stride, k.base, k.stride, chunk, work)
    case (.float, .bfloat16): scale(q.base, q.stride, k.halves, k.stride, chunk, work)
    case (.bfloat16, .float): scale(q.halves, q.stride, k.base, k.stride, chunk, work)
    case (.bfloat16, .bfloat16): scale(q.halves, q.stride, k.halves, k.stride, chunk, work)
    }
    return chunk
  }

  /// Copies a chunk's queries and keys, and both by the decays.
  @inline(__always)
  private func scale<Query: StoredNumber, Key: StoredNumber>(
    _ queries: UnsafePointer<Query>, _ queryStride: Int, _ keys: UnsafePointer<Key>,
    _ keysStride: Int, _ chunk: DeltaChunk, _ work: DeltaWorkspace
  ) {
    let tokens = chunk.tokens
    for i in 0..<chunk.rows {
      let isToken = i < tokens.count
      let source = isToken ? tokens.lowerBound + i : tokens.lowerBound
      let (fromQ, fromK) = (queries + source * queryStride, keys + source * keysStride)
      let (scales, read) = (Lanes(repeating: scale), Lanes(repeating: work.fromStart[i]))
      let write = Lanes(repeating: work.beta[i] * work.toEnd[i])
      for d in stride(from: 0, to: paddedKeys, by: Lanes.width) {
        let count = isToken ? max(0, min(Lanes.width, keyDimension - d)) : 0
        let q = scales * Query.lanes(fromQ + d, count: count)
        let k = Key.lanes(fromK + d, count: count)
        let at = i &* keyStride &+ d
        q.store(work.q + at)
        k.store(work.k + at)
        (read * q).store(work.readQueries + at)
        (Lanes() - read * k).store(work.negativeKeys + at)
        (write * k).store(work.writeKeys + at)
      }
    }
  }

  /// See `ChunkRows`.
  func touch(_ rows: TokenRows, _ tokens: Range<Int>, _ columns: Int, _ work: DeltaWorkspace) {
    ChunkRows.touch(rows, tokens, columns, work.touched)
  }

  /// See `ChunkRows`.
  func touch(_ floats: UnsafePointer<Float>, _ count: Int, _ work: DeltaWorkspace) {
    ChunkRows.touch(floats, count, work.touched)
  }

  /// See `ChunkRows`.
  func copy(
    _ source: TokenRows, _ chunk: DeltaChunk, _ columns: Int, scale: Float = 1,
    into target: UnsafeMutablePointer<Float>, _ rowStride: Int
  ) {
    ChunkRows.copy(source, chunk, columns, scale: scale, into: target, rowStride)
  }

  /// See `ChunkRows`.
  func emit(
    _ source: UnsafePointer<Float>, _ stride: Int, _ chunk: DeltaChunk, _ columns: Int,
    scale: Float = 1, into target: MutableTokenRows
  ) {
    ChunkRows.emit(source, stride, chunk, columns, scale: scale, into: target)
  }

  /// `e^g`, `e^b`, `e^{b_C−b}` and `e^{b_C}` of a scalar decay, or of none.
  private func loadDecays(_ head: RecurrenceHead, _ chunk: DeltaChunk, _ work: DeltaWorkspace) {
    guard decay == .scalar else {
      for i in 0..<chunk.rows {
        (work.alpha[i], work.fromStart[i], work.toEnd[i]) = (1, 1, 1)
      }
      work.decay.update(repeating: 1, count: paddedKeys)
      return
    }
    guard let g = head.g else { preconditionFailure("a gated delta rule reads g") }
    let first = chunk.tokens.lowerBound
    var total = 0.0
    for i in 0..<chunk.tokens.count { total += max(Double(g[first + i][0]), -80) }
    var sum = 0.0
    for i in 0..<chunk.rows {
      let logDecay = i < chunk.tokens.count ? max(g[first + i][0], -80) : 0
      sum += Double(logDecay)
      work.alpha[i] = logDecay
      work.fromStart[i] = Float(sum)
      work.toEnd[i] = Float(total - sum)
    }
    for i in 0..<chunk.rows {
      work.alpha[i] = VectorMath.exp(work.alpha[i])
      work.fromStart[i] = VectorMath.exp(work.fromStart[i])
      work.toEnd[i] = VectorMath.exp(work.toEnd[i])
    }
    work.decay.update(repeating: work.fromStart[chunk.rows - 1], count: paddedKeys)
  }

  /// `P`, `L` and `X` of a chunk: what its tokens are to each other.
  func relate(_ chunk: DeltaChunk, _ here: Kept, _ work: DeltaWorkspace) {
    if decay == .vector {
      relateVectorDecay(chunk, here, work)
    } else {
      let C = chunkLength
      if !work.isRounded {
        SmallMatrix.transpose(
          work.k, ld: keyStride, rows: chunk.rows, columns: paddedKeys, into: work.transposed,
          ld: C)
      }
      multiplyByKeys(work.q, chunk, into: here.attention, work)
      multiplyByKeys(work.k, chunk, into: here.overlap, work)
      decayBetween(chunk, work)
      for i in 0..<chunk.rows {
        let row = i * C
        let (attention, overlap) = (here.attention + row, here.overlap + row)
        let gamma = work.gamma + row
        let own = attention[i]
        for j in 0..<Self.padded(i + 1) {
          attention[j] *= gamma[j]
          overlap[j] *= gamma[j]
        }
        attention[i] = own
      }
    }
    invert(chunk, here, work)
  }

  /// The lower triangle of a product with `Kᵀ`, which stands in `transposed` where operands are not rounded.
  private func multiplyByKeys(
    _ rows: UnsafePointer<Float>, _ chunk: DeltaChunk, into products: UnsafeMutablePointer<Float>,
    _ work: DeltaWorkspace
  ) {
    let (count, C) = (chunk.rows, chunkLength)
    if work.isRounded {
      work.multiplyTransposedRight(
        rows, lda: keyStride, work.k, ldb: keyStride, into: products, ldc: C, rows: count,
        columns: count, inner: paddedKeys, structure: .lowerResult, scratch: work.transposed)
    } else {
      SmallMatrix.multiply(
        rows, lda: keyStride, work.transposed, ldb: C, into: products, ldc: C, rows: count,
        columns: count, inner: paddedKeys, structure: .lowerResult)
    }
  }

  /// `Γ`: each row is the row above it times the token's own decay.
  func decayBetween(_ chunk: DeltaChunk, _ work: DeltaWorkspace) {
    let C = chunkLength
    for i in 0..<chunk.rows {
      let row = work.gamma + i * C
      let width = Self.padded(i + 1)
      row.update(repeating: 0, count: width)
      if i > 0 {
        let alpha = work.alpha[i]
        let above = row - C
        for j in 0..<Self.padded(i) { row[j] = alpha * above[j] }
        row[i - 1] = alpha
      }
    }
  }

  /// `X = (I + L diag(β))⁻¹`, row by row from the top.
  private func invert(_ chunk: DeltaChunk, _ here: Kept, _ work: DeltaWorkspace) {
    let C = chunkLength
    let X = here.inverse
    scaleColumns(here.overlap, by: work.beta, rows: chunk.rows, into: work.square)
    for i in 0..<chunk.rows {
      let (row, factors) = (X + i * C, work.square + i * C)
      var column = 0
      while column <= i {
        var (even, odd) = (Lanes(), Lanes())
        var j = column
        while j + 1 < i {
          even = even.addingProduct(Lanes(repeating: factors[j]), Lanes.load(X + (j * C + column)))
          odd = odd.addingProduct(
            Lanes(repeating: factors[j + 1]), Lanes.load(X + (j * C + C + column)))
          j += 2
        }
        if j < i {
          even = even.addingProduct(Lanes(repeating: factors[j]), Lanes.load(X + (j * C + column)))
        }
        (Lanes() - even - odd).store(row + column)
        column += Lanes.width
      }
      for j in column..<max(column, Self.padded(i + 1)) { row[j] = 0 }
      row[i] = 1
    }
  }
}
