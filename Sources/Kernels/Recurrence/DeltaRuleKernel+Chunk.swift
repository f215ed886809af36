import Tensors

extension DeltaRuleKernel {
  /// Copies a chunk's rows into scratch, padded with zeros, and scales them by the decays.
  func load(_ head: RecurrenceHead, _ tokens: Range<Int>, _ work: DeltaWorkspace) -> DeltaChunk {
    let chunk = DeltaChunk(tokens: tokens, rows: Self.padded(tokens.count))
    guard let beta = head.beta else { preconditionFailure("a delta rule reads beta") }
    for i in 0..<chunk.rows {
      work.beta[i] = i < tokens.count ? beta[tokens.lowerBound + i][0] : 0
    }
    copy(head.q, chunk, keyDimension, scale: scale, into: work.q, keyStride)
    copy(head.k, chunk, keyDimension, into: work.k, keyStride)
    copy(head.v, chunk, valueDimension, into: work.v, valueStride)
    if gate == .channel {
      loadChannelGates(head, chunk, work)
    } else {
      loadGates(head, chunk, work)
      for i in 0..<chunk.rows {
        let row = i * keyStride
        let (read, negative) = (work.fromStart[i], -work.fromStart[i])
        let write = work.beta[i] * work.toEnd[i]
        let (q, k) = (work.q + row, work.k + row)
        let (readQueries, negativeKeys) = (work.readQueries + row, work.negativeKeys + row)
        let writeKeys = work.writeKeys + row
        for d in 0..<paddedKeys {
          readQueries[d] = read * q[d]
          negativeKeys[d] = negative * k[d]
          writeKeys[d] = write * k[d]
        }
      }
    }
    return chunk
  }

  /// Rows of a chunk times `scale`, with zeros up to whole blocks of 16 either way.
  func copy(
    _ source: TokenRows, _ chunk: DeltaChunk, _ columns: Int, scale: Float = 1,
    into target: UnsafeMutablePointer<Float>, _ stride: Int
  ) {
    let width = Self.padded(columns)
    for i in 0..<chunk.tokens.count {
      let (from, to) = (source[chunk.tokens.lowerBound + i], target + i * stride)
      for x in 0..<columns { to[x] = scale * from[x] }
      for x in columns..<width { to[x] = 0 }
    }
    for i in chunk.tokens.count..<chunk.rows {
      (target + i * stride).update(repeating: 0, count: width)
    }
  }

  /// `e^g`, `e^b`, `e^{b_C−b}` and `e^{b_C}` of a gate per head, or of none.
  private func loadGates(_ head: RecurrenceHead, _ chunk: DeltaChunk, _ work: DeltaWorkspace) {
    guard gate == .scalar else {
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
    if gate == .channel {
      relateChannels(chunk, here, work)
    } else {
      let C = chunkLength
      SmallMatrix.transpose(
        work.k, ld: keyStride, rows: chunk.rows, columns: paddedKeys, into: work.transposed, ld: C)
      SmallMatrix.multiply(
        work.q, lda: keyStride, work.transposed, ldb: C, into: here.attention, ldc: C,
        rows: chunk.rows, columns: chunk.rows, inner: paddedKeys, structure: .lowerResult)
      SmallMatrix.multiply(
        work.k, lda: keyStride, work.transposed, ldb: C, into: here.overlap, ldc: C,
        rows: chunk.rows, columns: chunk.rows, inner: paddedKeys, structure: .lowerResult)
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
