import Tensors

extension SelectiveScan {
  /// The shard's `M = e^{A Σ dt}`, 0 where it contains a document's start, and its states from a zero start, `B`.
  ///
  /// - Parameters:
  ///   - rates: `A`, as `rates(_:into:)` writes it.
  ///   - map: Shape `[I, N]`, written.
  ///   - state: Shape `[I, N]`, written.
  ///   - scratch: `innerCount` floats, of which each call uses those of its groups.
  package func summarize(
    _ row: Row, rates: UnsafePointer<Float>, map: UnsafeMutablePointer<Float>,
    state: UnsafeMutablePointer<Float>, groups: Range<Int>, scratch: UnsafeMutablePointer<Float>
  ) {
    let (blocks, plan) = (blocks(groups), row.plan)
    enter(nil, blocks, into: scratch)
    // Nothing from before the last document's start is left.
    let first = plan.resets.lastIndex(of: true) ?? 0
    for chunk in plan.chunks.dropFirst(first) {
      for block in blocks {
        advance(row, chunk, block, rates, from: scratch, into: scratch)
      }
    }
    leave(scratch, blocks, into: state)
    for block in blocks {
      let (first, count) = lanes(block)
      for i in first..<first + count {
        var sum = 0.0
        if !plan.containsStart {
          for t in 0..<plan.tokens { sum += Double(row.dt[t &* channels &+ i]) }
        }
        for n in 0..<states {
          map[i * states + n] =
            plan.containsStart ? 0 : expOf(Double(rates[inner(i, n)]) * sum)
        }
      }
    }
  }

  /// Writes `y`, `[T, I]`, from states that are there.
  ///
  /// - Parameters:
  ///   - skip: `D`, shape `[I]`.
  ///   - initial: The states before the shard, `[I, N]`; nil for zero.
  ///   - kept: `keptCount` floats, written.
  ///   - final: The states after it, `[I, N]`, written.
  package func forward(
    _ row: Row, rates: UnsafePointer<Float>, skip: UnsafePointer<Float>,
    initial: UnsafePointer<Float>?, kept: UnsafeMutablePointer<Float>,
    y: UnsafeMutablePointer<Float>, final: UnsafeMutablePointer<Float>, groups: Range<Int>
  ) {
    let (blocks, plan) = (blocks(groups), row.plan)
    enter(initial, blocks, into: kept)
    for (index, chunk) in plan.chunks.enumerated() {
      let states = kept + index * innerCount
      if plan.resets[index] { enter(nil, blocks, into: states) }
      for block in blocks {
        output(row, chunk, block, rates, skip, from: states, into: states + innerCount, y)
      }
    }
    leave(kept + plan.chunks.count * innerCount, blocks, into: final)
  }

  /// The states after a chunk.
  private func advance(
    _ row: Row, _ chunk: Range<Int>, _ block: Int, _ rates: UnsafePointer<Float>,
    from: UnsafePointer<Float>, into: UnsafeMutablePointer<Float>
  ) {
    let (rates, h) = (rates + block &* blockCount, into + block &* blockCount)
    let (first, count) = lanes(block)
    if from != UnsafePointer(into) {
      h.update(from: from + block &* blockCount, count: blockCount)
    }
    for t in chunk {
      let at = t &* channels &+ first
      let dt = Lanes.load(row.dt + at, count: count)
      let dtu = dt * Lanes.load(row.u + at, count: count)
      let b = row.b + t &* states
      for n in 0..<states {
        let lane = n &* Lanes.width
        let a = Lanes.exp(Lanes.load(rates + lane) * dt)
        (dtu * b[n]).addingProduct(a, Lanes.load(h + lane)).store(h + lane)
      }
    }
  }

  /// The states after a chunk, and its outputs.
  private func output(
    _ row: Row, _ chunk: Range<Int>, _ block: Int, _ rates: UnsafePointer<Float>,
    _ skip: UnsafePointer<Float>, from: UnsafePointer<Float>, into: UnsafeMutablePointer<Float>,
    _ y: UnsafeMutablePointer<Float>
  ) {
    let (rates, h) = (rates + block &* blockCount, into + block &* blockCount)
    let (first, count) = lanes(block)
    h.update(from: from + block &* blockCount, count: blockCount)
    let d = Lanes.load(skip + first, count: count)
    for t in chunk {
      let at = t &* channels &+ first
      let (dt, u) = (Lanes.load(row.dt + at, count: count), Lanes.load(row.u + at, count: count))
      let dtu = dt * u
      let (b, c) = (row.b + t &* states, row.c + t &* states)
      var sum = Lanes()
      for n in 0..<states {
        let lane = n &* Lanes.width
        let a = Lanes.exp(Lanes.load(rates + lane) * dt)
        let next = (dtu * b[n]).addingProduct(a, Lanes.load(h + lane))
        next.store(h + lane)
        sum.addProduct(next, Lanes(repeating: c[n]))
      }
      sum.addingProduct(d, u).store(y + at, count: count)
    }
  }
}
