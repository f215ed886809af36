extension LowRankRecurrence {
  /// Copies a chunk's rows into scratch, padded with zeros, and scales them by the decays.
  func load(_ head: RecurrenceHead, _ tokens: Range<Int>, _ work: LowRankWorkspace) -> DeltaChunk {
    guard let a = head.a, let b = head.b else {
      preconditionFailure("a low-rank recurrence reads a and b")
    }
    let chunk = DeltaChunk(tokens: tokens, rows: ChunkRows.padded(tokens.count))
    for rows in [head.q, head.k, a, b] {
      ChunkRows.touch(rows, tokens, keyDimension, work.touched)
    }
    ChunkRows.touch(head.v, tokens, valueDimension, work.touched)
    ChunkRows.copy(head.v, chunk, valueDimension, into: work.v, valueStride)
    ChunkRows.copy(head.q, chunk, keyDimension, scale: scale, into: work.q, keyStride)
    ChunkRows.copy(head.k, chunk, keyDimension, into: work.k, keyStride)
    ChunkRows.copy(a, chunk, keyDimension, into: work.a, keyStride)
    ChunkRows.copy(b, chunk, keyDimension, into: work.b, keyStride)
    loadDecays(head, chunk, work)
    return chunk
  }

  /// `e^g`, `e^B`, `e^{B_C−B}`, `e^{B_C}`, and the rows times them.
  private func loadDecays(_ head: RecurrenceHead, _ chunk: DeltaChunk, _ work: LowRankWorkspace) {
    loadLogDecays(head, chunk, work)
    for d in stride(from: 0, to: paddedKeys, by: Lanes.width) {
      Lanes.exp(Lanes.load(work.decay + d)).store(work.decay + d)
      var read = Lanes(repeating: 1)
      for i in 0..<chunk.rows {
        let at = i &* keyStride &+ d
        (read * Lanes.load(work.a + at)).store(work.readStates + at)
        let alpha = Lanes.exp(Lanes.load(work.alpha + at))
        read *= alpha
        alpha.store(work.alpha + at)
        read.store(work.fromStart + at)
        (read * Lanes.load(work.q + at)).store(work.readQueries + at)
      }
      var write = Lanes(repeating: 1)
      for i in (0..<chunk.rows).reversed() {
        let at = i &* keyStride &+ d
        write.store(work.toEnd + at)
        (write * Lanes.load(work.k + at)).store(work.writeKeys + at)
        (write * Lanes.load(work.b + at)).store(work.writes + at)
        write *= Lanes.load(work.alpha + at)
      }
    }
  }

  /// `g` of each channel, clamped, in `alpha`, and its sum over the chunk in `decay`.
  private func loadLogDecays(_ head: RecurrenceHead, _ chunk: DeltaChunk, _ work: LowRankWorkspace)
  {
    guard decay != .none else {
      work.alpha.update(repeating: 0, count: chunk.rows * keyStride)
      work.decay.update(repeating: 0, count: paddedKeys)
      return
    }
    guard let g = head.g else { preconditionFailure("a decay from data needs g") }
    if decay == .scalar {
      var total = 0.0
      for i in 0..<chunk.rows {
        let isToken = i < chunk.tokens.count
        let log = isToken ? max(g[chunk.tokens.lowerBound + i][0], -80) : 0
        (work.alpha + i * keyStride).update(repeating: log, count: paddedKeys)
        total += Double(log)
      }
      work.decay.update(repeating: Float(total), count: paddedKeys)
      return
    }
    ChunkRows.touch(g, chunk.tokens, keyDimension, work.touched)
    ChunkRows.copy(g, chunk, keyDimension, into: work.alpha, keyStride)
    for d in stride(from: 0, to: paddedKeys, by: 8) {
      var total = SIMD8<Double>()
      for i in 0..<chunk.rows {
        let place = UnsafeMutableRawPointer(work.alpha + (i &* keyStride &+ d))
        var logs = place.loadUnaligned(as: SIMD8<Float>.self)
        logs.replace(with: -80, where: logs .< -80)
        place.storeBytes(of: logs, as: SIMD8<Float>.self)
        total += SIMD8<Double>(logs)
      }
      UnsafeMutableRawPointer(work.decay + d).storeBytes(
        of: SIMD8<Float>(total), as: SIMD8<Float>.self)
    }
  }

  /// The four squares and `X` of a chunk: what its tokens are to each other.
  func relate(_ chunk: DeltaChunk, _ here: Kept, _ work: LowRankWorkspace) {
    relate(work.b, chunk, reads: work.readWrites, outputs: here.queryWrites, work)
    relate(work.k, chunk, reads: here.readKeys, outputs: here.queryKeys, work)
    invert(chunk, here, work)
  }

  /// `Σ_d a_id c_jd e^{B⁻_id − B_jd}` for i > j and `Σ_d q_id c_jd e^{B_id − B_jd}` for i ≥ j, 0 beyond the
  /// diagonal; a register of columns at a time, whose rows are carried along, decayed up to token `i`.
  private func relate(
    _ columns: UnsafePointer<Float>, _ chunk: DeltaChunk, reads: UnsafeMutablePointer<Float>,
    outputs: UnsafeMutablePointer<Float>, _ work: LowRankWorkspace
  ) {
    let width = Lanes.width
    for first in stride(from: 0, to: chunk.rows, by: width) {
      work.transposed.update(repeating: 0, count: paddedKeys * width)
      for i in stride(from: first, to: chunk.rows, by: 8) {
        if i < first + width {
          relateBlock(columns, i, first, own: true, reads, outputs, work)
        } else {
          relateBlock(columns, i, first, own: false, reads, outputs, work)
        }
      }
    }
  }

  /// Eight rows of two squares, one register of columns from `first` on; `own` if the rows are among them.
  @inline(__always)
  private func relateBlock(
    _ columns: UnsafePointer<Float>, _ i: Int, _ first: Int, own: Bool,
    _ reads: UnsafeMutablePointer<Float>, _ outputs: UnsafeMutablePointer<Float>,
    _ work: LowRankWorkspace
  ) {
    var read = InlineArray<8, Lanes>(repeating: Lanes())
    var output = InlineArray<8, Lanes>(repeating: Lanes())
    var place = InlineArray<8, Lanes>(repeating: Lanes())
    if own {
      for r in 0..<8 { place[r][i - first + r] = 1 }
    }
    let row = i * keyStride
    let (q, a, alpha, column) = (work.q + row, work.a + row, work.alpha + row, columns + row)
    let step = keyStride
    for d in 0..<paddedKeys {
      var carried = Lanes.load(work.transposed + d &* Lanes.width)
      for r in 0..<8 {
        let at = r &* step &+ d
        read[unchecked: r] = read[unchecked: r].addingProduct(Lanes(repeating: a[at]), carried)
        carried *= Lanes(repeating: alpha[at])
        if own {
          carried = carried.addingProduct(Lanes(repeating: column[at]), place[unchecked: r])
        }
        output[unchecked: r] = output[unchecked: r].addingProduct(Lanes(repeating: q[at]), carried)
      }
      carried.store(work.transposed + d &* Lanes.width)
    }
    for r in 0..<8 {
      let at = (i + r) * chunkLength + first
      read[unchecked: r].store(reads + at)
      output[unchecked: r].store(outputs + at)
    }
  }

  /// `X = (I − A_ab)⁻¹`, row by row from the top.
  private func invert(_ chunk: DeltaChunk, _ here: Kept, _ work: LowRankWorkspace) {
    let C = chunkLength
    let X = here.inverse
    for i in 0..<chunk.rows {
      let (row, factors) = (X + i * C, work.readWrites + i * C)
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
        (even + odd).store(row + column)
        column += Lanes.width
      }
      for j in column..<max(column, ChunkRows.padded(i + 1)) { row[j] = 0 }
      row[i] = 1
    }
  }
}
