/// The gradients of queries, keys, the low-rank pair and decays: sums over tokens by Horner's rule with factors `e^{g}`,
/// as `DeltaRecurrence` has them for a vector decay.
extension LowRankRecurrence {
  /// `dQ`, `dK`, `da`, `db` and `dg` from the products with states and the triangles.
  func differentiate(
    _ chunk: DeltaChunk, _ here: Kept, dState: UnsafeMutablePointer<Float>,
    _ work: LowRankWorkspace
  ) {
    for d in 0..<paddedKeys {
      let (s, t) = (here.state + d * valueStride, dState + d * valueStride)
      var sum = Lanes()
      for x in stride(from: 0, to: paddedValues, by: Lanes.width) {
        sum = sum.addingProduct(Lanes.load(s + x), Lanes.load(t + x))
      }
      work.dg[d] = work.decay[d] * sum.sum()
    }
    for d in stride(from: 0, to: paddedKeys, by: Lanes.width) {
      decayStateGradients(chunk.rows, d, work)
      for block in stride(from: 0, to: chunk.rows, by: 8) {
        gatherRows(block, d, work)
        gatherColumns(block, chunk.rows, d, work)
      }
    }
  }

  /// Decays what states give to `dq`, `da`, `dk` and `db`, and adds what of it crosses each token to its `dg`: a
  /// register of channels.
  @inline(__always)
  private func decayStateGradients(_ rows: Int, _ d: Int, _ work: LowRankWorkspace) {
    var written = Lanes.load(work.dg + d)
    for i in 0..<rows {
      let at = i &* keyStride &+ d
      written.store(work.dg + at)
      let toEnd = Lanes.load(work.toEnd + at)
      let (dk, db) = (toEnd * Lanes.load(work.dk + at), toEnd * Lanes.load(work.db + at))
      dk.store(work.dk + at)
      db.store(work.db + at)
      written = written.addingProduct(Lanes.load(work.k + at), dk)
      written = written.addingProduct(Lanes.load(work.b + at), db)
    }
    var read = Lanes()
    var i = rows &- 1
    while i >= 0 {
      let at = i &* keyStride &+ d
      let dq = Lanes.load(work.fromStart + at) * Lanes.load(work.dq + at)
      let before = i > 0 ? Lanes.load(work.fromStart + (at &- keyStride)) : Lanes(repeating: 1)
      let da = before * Lanes.load(work.da + at)
      dq.store(work.dq + at)
      da.store(work.da + at)
      read = read.addingProduct(Lanes.load(work.q + at), dq)
      (Lanes.load(work.dg + at) + read).store(work.dg + at)
      // What a token reads of the state is from before its own decay.
      read = read.addingProduct(Lanes.load(work.a + at), da)
      i &-= 1
    }
  }

  /// Adds `Σ_{j≤i} (N^qb_ij b_j + N^qk_ij k_j) e^{B_i−B_j}` to `dq_i`, `Σ_{j<i} (N^ab_ij b_j + N^ak_ij k_j) e^{B⁻_i−B_j}`
  /// to `da_i`, and what of both crosses a token to its `dg`: eight rows, a register of channels.
  ///
  /// When the sums over `j < l` stand decayed at token `l`, their products with the rows, decayed from `l` to the row,
  /// are what crosses it.
  @inline(__always)
  private func gatherRows(_ block: Int, _ d: Int, _ work: LowRankWorkspace) {
    let C = chunkLength
    var outputs = InlineArray<8, Lanes>(repeating: Lanes())
    var reads = InlineArray<8, Lanes>(repeating: Lanes())
    let (qb, qk) = (work.dQueryWrites + block * C, work.dQueryKeys + block * C)
    let (ab, ak) = (work.dReadWrites + block * C, work.dReadKeys + block * C)
    if block > 0 {
      var queries = InlineArray<8, Lanes>(repeating: Lanes())
      var readers = InlineArray<8, Lanes>(repeating: Lanes())
      decayToBlock(block, d, work)
      var fromBlock = Lanes(repeating: 1)
      for r in 0..<8 {
        let at = (block &+ r) &* keyStride &+ d
        readers[unchecked: r] = fromBlock * Lanes.load(work.a + at)
        fromBlock *= Lanes.load(work.alpha + at)
        queries[unchecked: r] = fromBlock * Lanes.load(work.q + at)
      }
      for j in 0..<block {
        let at = j &* keyStride &+ d
        let (write, key) = (Lanes.load(work.b + at), Lanes.load(work.k + at))
        let alpha = Lanes.load(work.alpha + at)
        var (output, read) = (Lanes(), Lanes())
        for r in 0..<8 {
          let pair = r &* C &+ j
          let fromOutput = alpha * outputs[unchecked: r]
          output = output.addingProduct(queries[unchecked: r], fromOutput)
          outputs[unchecked: r] = fromOutput.addingProduct(Lanes(repeating: qb[pair]), write)
            .addingProduct(Lanes(repeating: qk[pair]), key)
          let fromRead = alpha * reads[unchecked: r]
          read = read.addingProduct(readers[unchecked: r], fromRead)
          reads[unchecked: r] = fromRead.addingProduct(Lanes(repeating: ab[pair]), write)
            .addingProduct(Lanes(repeating: ak[pair]), key)
        }
        let decay = Lanes.load(work.toBlock + j &* Lanes.width)
        Lanes.load(work.dg + at).addingProduct(decay, output + read).store(work.dg + at)
      }
    }
    gatherOwnRows(block, d, outputs, reads, work)
  }

  /// The rest of `gatherRows`: pairs of tokens that are both of the block.
  @inline(__always)
  private func gatherOwnRows(
    _ block: Int, _ d: Int, _ outputs: InlineArray<8, Lanes>, _ reads: InlineArray<8, Lanes>,
    _ work: LowRankWorkspace
  ) {
    let C = chunkLength
    var crossing = InlineArray<8, Lanes>(repeating: Lanes())
    var alpha = InlineArray<8, Lanes>(repeating: Lanes())
    var writes = InlineArray<8, Lanes>(repeating: Lanes())
    var keys = InlineArray<8, Lanes>(repeating: Lanes())
    for r in 0..<8 {
      let at = (block &+ r) &* keyStride &+ d
      alpha[unchecked: r] = Lanes.load(work.alpha + at)
      writes[unchecked: r] = Lanes.load(work.b + at)
      keys[unchecked: r] = Lanes.load(work.k + at)
    }
    for r in 0..<8 {
      let at = (block &+ r) &* keyStride &+ d
      let row = (block &+ r) &* C &+ block
      let (qb, qk) = (work.dQueryWrites + row, work.dQueryKeys + row)
      let (ab, ak) = (work.dReadWrites + row, work.dReadKeys + row)
      // The row, decayed back to each token of the block: through its own decay for outputs, before it for reads.
      var queries = InlineArray<8, Lanes>(repeating: Lanes.load(work.q + at))
      var readers = InlineArray<8, Lanes>(repeating: Lanes.load(work.a + at))
      var l = r
      while l > 0 {
        queries[unchecked: l &- 1] = alpha[unchecked: l] * queries[unchecked: l]
        if l < r {
          readers[unchecked: l &- 1] = alpha[unchecked: l] * readers[unchecked: l]
        }
        l &-= 1
      }
      var (output, read) = (outputs[unchecked: r], reads[unchecked: r])
      for l in 0..<r &+ 1 {
        let (write, key) = (writes[unchecked: l], keys[unchecked: l])
        output *= alpha[unchecked: l]
        var sum = crossing[unchecked: l].addingProduct(queries[unchecked: l], output)
        output = output.addingProduct(Lanes(repeating: qb[l]), write)
          .addingProduct(Lanes(repeating: qk[l]), key)
        if l < r {
          read *= alpha[unchecked: l]
          sum = sum.addingProduct(readers[unchecked: l], read)
          read = read.addingProduct(Lanes(repeating: ab[l]), write)
            .addingProduct(Lanes(repeating: ak[l]), key)
        }
        crossing[unchecked: l] = sum
      }
      (Lanes.load(work.dq + at) + output).store(work.dq + at)
      (Lanes.load(work.da + at) + read).store(work.da + at)
    }
    for r in 0..<8 {
      let at = (block &+ r) &* keyStride &+ d
      (Lanes.load(work.dg + at) + crossing[unchecked: r]).store(work.dg + at)
    }
  }

  /// `e^{B_{block−1}−B_l}` of a register of channels, for each token `l` before a block.
  @inline(__always)
  private func decayToBlock(_ block: Int, _ d: Int, _ work: LowRankWorkspace) {
    var decay = Lanes(repeating: 1)
    var l = block &- 1
    while l >= 0 {
      decay.store(work.toBlock + l &* Lanes.width)
      decay *= Lanes.load(work.alpha + (l &* keyStride &+ d))
      l &-= 1
    }
  }

  /// Adds `Σ_{i≥j} N^qk_ij q_i e^{B_i−B_j} + Σ_{i>j} N^ak_ij a_i e^{B⁻_i−B_j}` to `dk_j`, and the same with `N^qb` and
  /// `N^ab` to `db_j`: eight columns, a register of channels.
  @inline(__always)
  private func gatherColumns(_ block: Int, _ rows: Int, _ d: Int, _ work: LowRankWorkspace) {
    let C = chunkLength
    var keys = InlineArray<8, Lanes>(repeating: Lanes())
    var writes = InlineArray<8, Lanes>(repeating: Lanes())
    var i = rows &- 1
    while i >= block &+ 8 {
      let at = i &* keyStride &+ d
      let (query, reader) = (Lanes.load(work.q + at), Lanes.load(work.a + at))
      let alpha = Lanes.load(work.alpha + at)
      let row = i &* C &+ block
      let (qb, qk) = (work.dQueryWrites + row, work.dQueryKeys + row)
      let (ab, ak) = (work.dReadWrites + row, work.dReadKeys + row)
      for c in 0..<8 {
        let key = alpha * keys[unchecked: c].addingProduct(Lanes(repeating: qk[c]), query)
        keys[unchecked: c] = key.addingProduct(Lanes(repeating: ak[c]), reader)
        let write = alpha * writes[unchecked: c].addingProduct(Lanes(repeating: qb[c]), query)
        writes[unchecked: c] = write.addingProduct(Lanes(repeating: ab[c]), reader)
      }
      i &-= 1
    }
    for c in 0..<8 {
      var (key, write) = (keys[unchecked: c], writes[unchecked: c])
      var i = block &+ 7
      while i > block &+ c {
        let at = i &* keyStride &+ d
        let pair = i &* C &+ block &+ c
        let (query, reader) = (Lanes.load(work.q + at), Lanes.load(work.a + at))
        let alpha = Lanes.load(work.alpha + at)
        key = alpha * key.addingProduct(Lanes(repeating: work.dQueryKeys[pair]), query)
        key = key.addingProduct(Lanes(repeating: work.dReadKeys[pair]), reader)
        write = alpha * write.addingProduct(Lanes(repeating: work.dQueryWrites[pair]), query)
        write = write.addingProduct(Lanes(repeating: work.dReadWrites[pair]), reader)
        i &-= 1
      }
      let at = i &* keyStride &+ d
      let pair = i &* C &+ i
      let query = Lanes.load(work.q + at)
      key = key.addingProduct(Lanes(repeating: work.dQueryKeys[pair]), query)
      write = write.addingProduct(Lanes(repeating: work.dQueryWrites[pair]), query)
      (Lanes.load(work.dk + at) + key).store(work.dk + at)
      (Lanes.load(work.db + at) + write).store(work.db + at)
    }
  }
}
