/// What a vector decay changes within a chunk: decays no longer factor out of a sum over channels.
///
/// Products of keys are taken by carrying decayed keys along, `F_jd ← F_jd e^{g_id}` from token `i − 1`
/// to `i`, and sums over tokens by Horner's rule with factors `e^{g}`: one multiplication more a pair of
/// tokens, and no exponential of a difference.
extension DeltaRecurrence {
  /// `e^g`, `e^b`, `e^{b_C−b}`, `e^{b_C}`, and the queries and keys times them.
  func loadVectorDecays(_ head: RecurrenceHead, _ chunk: DeltaChunk, _ work: DeltaWorkspace) {
    guard let g = head.g else { preconditionFailure("a gated delta rule reads g") }
    touch(g, chunk.tokens, keyDimension, work)
    copy(g, chunk, keyDimension, into: work.alpha, keyStride)
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
    for d in stride(from: 0, to: paddedKeys, by: Lanes.width) {
      Lanes.exp(Lanes.load(work.decay + d)).store(work.decay + d)
      var read = Lanes(repeating: 1)
      for i in 0..<chunk.rows {
        let at = i &* keyStride &+ d
        let alpha = Lanes.exp(Lanes.load(work.alpha + at))
        read *= alpha
        alpha.store(work.alpha + at)
        read.store(work.fromStart + at)
        (read * Lanes.load(work.q + at)).store(work.readQueries + at)
        (Lanes() - read * Lanes.load(work.k + at)).store(work.negativeKeys + at)
      }
      var write = Lanes(repeating: 1)
      for i in (0..<chunk.rows).reversed() {
        let at = i &* keyStride &+ d
        write.store(work.toEnd + at)
        (write * Lanes(repeating: work.beta[i]) * Lanes.load(work.k + at))
          .store(work.writeKeys + at)
        write *= Lanes.load(work.alpha + at)
      }
    }
  }

  /// `P` and `L`, a register of earlier tokens at a time: `F_d` holds their keys, decayed up to token `i`.
  func relateVectorDecay(_ chunk: DeltaChunk, _ here: Kept, _ work: DeltaWorkspace) {
    let width = Lanes.width
    for first in stride(from: 0, to: chunk.rows, by: width) {
      work.transposed.update(repeating: 0, count: paddedKeys * width)
      for i in stride(from: first, to: chunk.rows, by: 8) {
        if i < first + width {
          relateBlock(i, first, own: true, here, work)
        } else {
          relateBlock(i, first, own: false, here, work)
        }
      }
    }
  }

  /// Eight rows of `P` and `L`, one register of columns from `first` on; `own` if the rows are among them.
  @inline(__always)
  private func relateBlock(
    _ i: Int, _ first: Int, own: Bool, _ here: Kept, _ work: DeltaWorkspace
  ) {
    var attention = InlineArray<8, Lanes>(repeating: Lanes())
    var overlap = InlineArray<8, Lanes>(repeating: Lanes())
    var place = InlineArray<8, Lanes>(repeating: Lanes())
    if own {
      for r in 0..<8 { place[r][i - first + r] = 1 }
    }
    let (q, k, alpha) = (work.q + i * keyStride, work.k + i * keyStride, work.alpha + i * keyStride)
    let step = keyStride
    for d in 0..<paddedKeys {
      var keys = Lanes.load(work.transposed + d &* Lanes.width)
      for r in 0..<8 {
        let at = r &* step &+ d
        let key = Lanes(repeating: k[at])
        keys *= Lanes(repeating: alpha[at])
        overlap[unchecked: r] = overlap[unchecked: r].addingProduct(key, keys)
        if own { keys = keys.addingProduct(key, place[unchecked: r]) }
        attention[unchecked: r] =
          attention[unchecked: r].addingProduct(Lanes(repeating: q[at]), keys)
      }
      keys.store(work.transposed + d &* Lanes.width)
    }
    for r in 0..<8 {
      let at = (i + r) * chunkLength + first
      attention[unchecked: r].store(here.attention + at)
      overlap[unchecked: r].store(here.overlap + at)
    }
  }

  /// `dQ`, `dK`, `dβ` and `dg` for a vector decay.
  func differentiateVectorDecay(
    _ chunk: DeltaChunk, _ here: Kept, dState: UnsafeMutablePointer<Float>, _ work: DeltaWorkspace
  ) {
    let (rows, C) = (chunk.rows, chunkLength)
    for i in 0..<rows {
      let row = work.gamma + i * C
      for j in 0..<Self.padded(i + 1) { row[j] = j < i ? 1 : 0 }
    }
    differentiateSquares(chunk, here, work)
    for d in 0..<paddedKeys {
      let (s, t) = (here.state + d * valueStride, dState + d * valueStride)
      var sum = Lanes()
      for x in stride(from: 0, to: paddedValues, by: Lanes.width) {
        sum = sum.addingProduct(Lanes.load(s + x), Lanes.load(t + x))
      }
      work.dg[d] = work.decay[d] * sum.sum()
    }
    for i in 0..<rows {
      let row = i * keyStride
      let (k, fromStart, toEnd) = (work.k + row, work.fromStart + row, work.toEnd + row)
      let (dq, dk, dWrite) = (work.dq + row, work.dk + row, work.dWrite + row)
      let dg = work.dg + row
      let beta = Lanes(repeating: work.beta[i])
      var step = Lanes()
      for d in stride(from: 0, to: paddedKeys, by: Lanes.width) {
        let read = Lanes.load(fromStart + d)
        let write = Lanes.load(toEnd + d) * Lanes.load(dWrite + d)
        let key = Lanes.load(k + d)
        step = step.addingProduct(key, write)
        (read * Lanes.load(dq + d)).store(dq + d)
        (Lanes() - read * Lanes.load(dk + d)).store(dk + d)
        (beta * write).store(dWrite + d)
        // What tokens before the next one write crosses it.
        if i + 1 < rows {
          Lanes.load(dg + d).addingProduct(key * beta, write).store(dg + (d + keyStride))
        }
      }
      work.dbeta[i] += step.sum()
    }
    for d in stride(from: 0, to: paddedKeys, by: Lanes.width) {
      sumReads(rows, d, work)
      for block in stride(from: 0, to: rows, by: 8) {
        gatherRows(block, d, work)
        gatherColumns(block, rows, d, work)
      }
    }
    for i in 0..<chunk.tokens.count {
      let row = i * keyStride
      let (q, k) = (work.q + row, work.k + row)
      let (dq, dk, dWrite) = (work.dq + row, work.dk + row, work.dWrite + row)
      let own = work.outputError[i * C + i]
      for d in 0..<paddedKeys {
        dq[d] += own * k[d]
        dk[d] += dWrite[d] + own * q[d]
      }
    }
  }

  /// Adds `Σ_{i≥l} e^{b_i} ⊙ (q_i ⊙ dO_i Sᵀ − k_i ⊙ λ_i Sᵀ)` to `dg_l`, a register of channels.
  @inline(__always)
  private func sumReads(_ rows: Int, _ d: Int, _ work: DeltaWorkspace) {
    var sum = Lanes()
    var i = rows &- 1
    while i >= 0 {
      let at = i &* keyStride &+ d
      sum = sum.addingProduct(Lanes.load(work.q + at), Lanes.load(work.dq + at))
      sum = sum.addingProduct(Lanes.load(work.k + at), Lanes.load(work.dk + at))
      (Lanes.load(work.dg + at) + sum).store(work.dg + at)
      i &-= 1
    }
  }

  /// Adds `Σ_{j<i} dP_ij k_j e^{b_i−b_j}` to `dq_i`, the same with `dL` to `dk_i`, and what of both crosses a token
  /// to its `dg`: eight rows, a register of channels.
  ///
  /// When the sums over `j < l` stand at token `l`, their products with the rows, decayed from `l` to the row, are
  /// `Σ_{i≥l>j} Z_ij`.
  @inline(__always)
  private func gatherRows(_ block: Int, _ d: Int, _ work: DeltaWorkspace) {
    let C = chunkLength
    var fromOutput = InlineArray<8, Lanes>(repeating: Lanes())
    var fromError = InlineArray<8, Lanes>(repeating: Lanes())
    let (dP, dL) = (work.outputError + block * C, work.symmetric + block * C)
    if block > 0 { decayToBlock(block, d, work) }
    var queries = InlineArray<8, Lanes>(repeating: Lanes())
    var keys = InlineArray<8, Lanes>(repeating: Lanes())
    var fromBlock = Lanes(repeating: 1)
    for r in 0..<8 {
      let at = (block &+ r) &* keyStride &+ d
      if r > 0 { fromBlock *= Lanes.load(work.alpha + at) }
      queries[unchecked: r] = fromBlock * Lanes.load(work.q + at)
      keys[unchecked: r] = fromBlock * Lanes.load(work.k + at)
    }
    for j in 0..<block {
      let key = Lanes.load(work.k + (j &* keyStride &+ d))
      let next = (j &+ 1) &* keyStride &+ d
      let alpha = Lanes.load(work.alpha + next)
      var (output, error) = (Lanes(), Lanes())
      for r in 0..<8 {
        let at = r &* C &+ j
        fromOutput[unchecked: r] =
          alpha * fromOutput[unchecked: r].addingProduct(Lanes(repeating: dP[at]), key)
        fromError[unchecked: r] =
          alpha * fromError[unchecked: r].addingProduct(Lanes(repeating: dL[at]), key)
        output = output.addingProduct(queries[unchecked: r], fromOutput[unchecked: r])
        error = error.addingProduct(keys[unchecked: r], fromError[unchecked: r])
      }
      let decay = Lanes.load(work.toBlock + (j &+ 1) &* Lanes.width)
      Lanes.load(work.dg + next).addingProduct(decay, output + error).store(work.dg + next)
    }
    for r in 0..<8 {
      var (output, error) = (fromOutput[unchecked: r], fromError[unchecked: r])
      let at = (block &+ r) &* keyStride &+ d
      queries[unchecked: r] = Lanes.load(work.q + at)
      keys[unchecked: r] = Lanes.load(work.k + at)
      var l = r
      while l > 1 {
        let alpha = Lanes.load(work.alpha + ((block &+ l) &* keyStride &+ d))
        queries[unchecked: l &- 1] = alpha * queries[unchecked: l]
        keys[unchecked: l &- 1] = alpha * keys[unchecked: l]
        l &-= 1
      }
      for l in 1..<r &+ 1 {
        let j = block &+ l &- 1
        let key = Lanes.load(work.k + (j &* keyStride &+ d))
        let next = (j &+ 1) &* keyStride &+ d
        let alpha = Lanes.load(work.alpha + next)
        let pair = r &* C &+ j
        output = alpha * output.addingProduct(Lanes(repeating: dP[pair]), key)
        error = alpha * error.addingProduct(Lanes(repeating: dL[pair]), key)
        Lanes.load(work.dg + next)
          .addingProduct(queries[unchecked: l], output)
          .addingProduct(keys[unchecked: l], error).store(work.dg + next)
      }
      (Lanes.load(work.dq + at) + output).store(work.dq + at)
      (Lanes.load(work.dk + at) + error).store(work.dk + at)
    }
  }

  /// `e^{b_block−b_l}` of a register of channels, for each token `l` up to a block's first.
  @inline(__always)
  private func decayToBlock(_ block: Int, _ d: Int, _ work: DeltaWorkspace) {
    var decay = Lanes(repeating: 1)
    var l = block
    while l > 0 {
      decay.store(work.toBlock + l &* Lanes.width)
      decay *= Lanes.load(work.alpha + (l &* keyStride &+ d))
      l &-= 1
    }
  }

  /// Adds `Σ_{i>j} (dP_ij q_i + dL_ij k_i) e^{b_i−b_j}` to what keys get as columns: eight of them, a register of
  /// channels.
  @inline(__always)
  private func gatherColumns(_ block: Int, _ rows: Int, _ d: Int, _ work: DeltaWorkspace) {
    let C = chunkLength
    var sums = InlineArray<8, Lanes>(repeating: Lanes())
    var i = rows &- 1
    while i >= block &+ 8 {
      let at = i &* keyStride &+ d
      let (query, key) = (Lanes.load(work.q + at), Lanes.load(work.k + at))
      let alpha = Lanes.load(work.alpha + at)
      let (dP, dL) = (work.outputError + (i &* C &+ block), work.symmetric + (i &* C &+ block))
      for r in 0..<8 {
        let sum = sums[unchecked: r].addingProduct(Lanes(repeating: dP[r]), query)
        sums[unchecked: r] = alpha * sum.addingProduct(Lanes(repeating: dL[r]), key)
      }
      i &-= 1
    }
    for r in 0..<8 {
      var sum = sums[unchecked: r]
      var i = block &+ 7
      while i > block &+ r {
        let at = i &* keyStride &+ d
        let pair = i &* C &+ block &+ r
        sum = sum.addingProduct(Lanes(repeating: work.outputError[pair]), Lanes.load(work.q + at))
        sum = sum.addingProduct(Lanes(repeating: work.symmetric[pair]), Lanes.load(work.k + at))
        sum *= Lanes.load(work.alpha + at)
        i &-= 1
      }
      let at = (block &+ r) &* keyStride &+ d
      (Lanes.load(work.dWrite + at) + sum).store(work.dWrite + at)
    }
  }
}
