extension SelectiveScan {
  /// Floats of scratch that `backward` needs: decays, states and two gradients of a chunk, sums of a register.
  package var scratchCount: Int { (4 * chunkLength + 2) * blockCount }

  /// Where the gradients of one row go.
  package struct Gradients: @unchecked Sendable {
    /// Of `u` and `dt`, `[T, I]`, written.
    let du, ddt: UnsafeMutablePointer<Float>
    /// Of `B` and `C`, side by side: what each group of channels adds to them, `[T, 2N]` a group, written.
    let dBC: UnsafeMutablePointer<Float>
    /// Floats from one group's to the next.
    let groupStride: Int
    /// Of `A`, as states lie inside, and of `D`, `[I]`: added to.
    let dRates, dSkip: UnsafeMutablePointer<Float>

    package init(
      du: UnsafeMutablePointer<Float>, ddt: UnsafeMutablePointer<Float>,
      dBC: UnsafeMutablePointer<Float>, groupStride: Int, dRates: UnsafeMutablePointer<Float>,
      dSkip: UnsafeMutablePointer<Float>
    ) {
      (self.du, self.ddt, self.dBC, self.groupStride) = (du, ddt, dBC, groupStride)
      (self.dRates, self.dSkip) = (dRates, dSkip)
    }
  }

  /// The shard's share `E` of the gradient of its incoming states, from `dy` alone.
  ///
  /// - Parameters:
  ///   - state: Shape `[I, N]`, written.
  ///   - scratch: `innerCount` floats, of which each call uses those of its groups.
  package func summarizeBackward(
    _ row: Row, rates: UnsafePointer<Float>, dy: UnsafePointer<Float>,
    state: UnsafeMutablePointer<Float>, groups: Range<Int>, scratch: UnsafeMutablePointer<Float>
  ) {
    let (blocks, plan) = (blocks(groups), row.plan)
    enter(nil, blocks, into: scratch)
    // Nothing after the first document's start comes from the states before the shard.
    let last = plan.resets.firstIndex(of: true) ?? plan.chunks.count
    for chunk in plan.chunks.prefix(last).reversed() {
      for block in blocks {
        let (rates, d) = (rates + block &* blockCount, scratch + block &* blockCount)
        let (first, count) = lanes(block)
        for t in chunk.reversed() {
          let at = t &* channels &+ first
          let dt = Lanes.load(row.dt + at, count: count)
          let dy = Lanes.load(dy + at, count: count)
          let c = row.c + t &* states
          for n in 0..<states {
            let lane = n &* Lanes.width
            let a = Lanes.exp(Lanes.load(rates + lane) * dt)
            (a * (Lanes.load(d + lane).addingProduct(dy, Lanes(repeating: c[n]))))
              .store(d + lane)
          }
        }
      }
    }
    leave(scratch, blocks, into: state)
  }

  /// Writes the gradients of a row from a gradient of the states after the shard that is there.
  ///
  /// With `λ_t = C_t dy_t + e^{A dt_{t+1}} λ_{t+1}`, the gradient of `h_t`, and `w_t = λ_t h_{t−1} e^{A dt_t}`:
  ///
  ///     dC_t = Σ_i dy_t h_t      dB_t = Σ_i λ_t dt_t u_t      du_t = D dy_t + dt_t Σ_n λ_t B_t
  ///     ddt_t = u_t Σ_n λ_t B_t + Σ_n w_t A                   dA = Σ_t w_t dt_t
  ///
  /// - Parameters:
  ///   - kept: What the forward pass kept.
  ///   - dy: Shape `[T, I]`.
  ///   - final: Shape `[I, N]`, or nil for zero.
  ///   - dInitial: The gradient of the states before the shard, `[I, N]`, written.
  ///   - states: `innerCount` floats, of which each call uses those of its groups.
  ///   - scratch: `scratchCount` floats of the thread's own.
  package func backward(
    _ row: Row, rates: UnsafePointer<Float>, skip: UnsafePointer<Float>,
    kept: UnsafePointer<Float>, dy: UnsafePointer<Float>, final: UnsafePointer<Float>?,
    into gradients: Gradients, dInitial: UnsafeMutablePointer<Float>, groups: Range<Int>,
    states adjoints: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
  ) {
    let plan = row.plan
    let buffers = ChunkBuffers(self, scratch)
    enter(final, blocks(groups), into: adjoints)
    for group in groups {
      let blocks = blocks(group..<group + 1)
      for (index, chunk) in plan.chunks.enumerated().reversed() {
        buffers.clearSums(tokens: chunk.count)
        for block in blocks {
          replay(
            row, chunk, block, rates + block &* blockCount,
            from: kept + index * innerCount + block &* blockCount, buffers)
          differentiate(
            row, chunk, block, rates + block &* blockCount, skip, dy,
            adjoints + block &* blockCount, gradients, buffers)
        }
        if plan.resets[index] { enter(nil, blocks, into: adjoints) }
        buffers.storeSums(
          tokens: chunk.count,
          into: gradients.dBC + group * gradients.groupStride + chunk.lowerBound * 2 * states)
      }
    }
    leave(adjoints, blocks(groups), into: dInitial)
  }

  /// The decays and states of a chunk again.
  private func replay(
    _ row: Row, _ chunk: Range<Int>, _ block: Int, _ rates: UnsafePointer<Float>,
    from kept: UnsafePointer<Float>, _ buffers: ChunkBuffers
  ) {
    let (first, count) = lanes(block)
    var (a, h) = (buffers.decays, buffers.states)
    h.update(from: kept, count: blockCount)
    for t in chunk {
      let at = t &* channels &+ first
      let dt = Lanes.load(row.dt + at, count: count)
      let dtu = dt * Lanes.load(row.u + at, count: count)
      let b = row.b + t &* states
      for n in 0..<states {
        let lane = n &* Lanes.width
        let decay = Lanes.exp(Lanes.load(rates + lane) * dt)
        decay.store(a + lane)
        (dtu * b[n]).addingProduct(decay, Lanes.load(h + lane)).store(h + blockCount + lane)
      }
      a += blockCount
      h += blockCount
    }
  }

  private func differentiate(
    _ row: Row, _ chunk: Range<Int>, _ block: Int, _ rates: UnsafePointer<Float>,
    _ skip: UnsafePointer<Float>, _ dy: UnsafePointer<Float>,
    _ adjoint: UnsafeMutablePointer<Float>, _ gradients: Gradients, _ buffers: ChunkBuffers
  ) {
    let (first, count) = lanes(block)
    let d = Lanes.load(skip + first, count: count)
    let dRates = buffers.dRates
    dRates.update(repeating: 0, count: blockCount)
    var dSkip = Lanes()
    for t in chunk.reversed() {
      let at = t &* channels &+ first
      let place = (t &- chunk.lowerBound) &* blockCount
      let (a, before) = (buffers.decays + place, buffers.states + place)
      let after = before + blockCount
      let (sumB, sumC) = (buffers.dB + place, buffers.dC + place)
      let (dt, u) = (Lanes.load(row.dt + at, count: count), Lanes.load(row.u + at, count: count))
      let dy = Lanes.load(dy + at, count: count)
      let (b, c) = (row.b + t &* states, row.c + t &* states)
      let dtu = dt * u
      var (input, step) = (Lanes(), Lanes())
      for n in 0..<states {
        let lane = n &* Lanes.width
        let l = Lanes.load(adjoint + lane).addingProduct(dy, Lanes(repeating: c[n]))
        Lanes.load(sumC + lane).addingProduct(dy, Lanes.load(after + lane)).store(sumC + lane)
        Lanes.load(sumB + lane).addingProduct(l, dtu).store(sumB + lane)
        input.addProduct(l, Lanes(repeating: b[n]))
        let through = l * Lanes.load(a + lane)
        through.store(adjoint + lane)
        let w = through * Lanes.load(before + lane)
        step.addProduct(w, Lanes.load(rates + lane))
        Lanes.load(dRates + lane).addingProduct(w, dt).store(dRates + lane)
      }
      (d * dy).addingProduct(dt, input).store(gradients.du + at, count: count)
      step.addingProduct(u, input).store(gradients.ddt + at, count: count)
      dSkip.addProduct(dy, u)
    }
    // A chunk's sums by themselves first: what a long sum adds up stays of one size.
    let total = gradients.dRates + block &* blockCount
    for i in 0..<blockCount { total[i] += dRates[i] }
    (dSkip + Lanes.load(gradients.dSkip + first, count: count))
      .store(gradients.dSkip + first, count: count)
  }
}

/// What the backward pass holds of a chunk and a register of channels.
private struct ChunkBuffers {
  let states: UnsafeMutablePointer<Float>
  let decays, dB, dC: UnsafeMutablePointer<Float>
  let dRates: UnsafeMutablePointer<Float>
  private let count: Int

  init(_ scan: SelectiveScan, _ scratch: UnsafeMutablePointer<Float>) {
    count = scan.states
    let each = scan.chunkLength * scan.blockCount
    decays = scratch
    dB = decays + each
    dC = dB + each
    states = dC + each
    dRates = states + each + scan.blockCount
  }

  func clearSums(tokens: Int) {
    dB.update(repeating: 0, count: tokens * count * Lanes.width)
    dC.update(repeating: 0, count: tokens * count * Lanes.width)
  }

  /// The sums over channels, `[tokens, 2N]`.
  func storeSums(tokens: Int, into target: UnsafeMutablePointer<Float>) {
    for t in 0..<tokens {
      for n in 0..<count {
        let at = (t &* count &+ n) &* Lanes.width
        target[t &* 2 &* count &+ n] = Lanes.load(dB + at).sum()
        target[t &* 2 &* count &+ count &+ n] = Lanes.load(dC + at).sum()
      }
    }
  }
}
