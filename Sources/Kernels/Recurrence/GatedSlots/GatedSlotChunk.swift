/// One chunk of gated slot attention: two chunks of a vector decay of the slots, with one set of decays.
///
/// | | `q` | `k` | `v` | `dO` |
/// |---|---|---|---|---|
/// | `values`: pass 2, states `[M, V]` | `p` | `s` | values | the output's gradient |
/// | `keys`: pass 1, states `[M, K]`, its roles as in `ValueDecayChunk` | the logits' gradient | `s` | keys | queries |
///
/// The gradients of queries, keys and values are in `keys.o`, `keys.dv` and `values.dv`; what `dk` of both holds is the
/// gradient of `s = 1 − e^g`, which `storeDG` adds to that of `g`.
struct GatedSlotChunk {
  let kernel: GatedSlotRecurrence
  var keys, values: VectorDecayChunk

  init(_ kernel: GatedSlotRecurrence, _ scratch: UnsafeMutablePointer<Float>) {
    self.kernel = kernel
    let (first, second) = Self.parts(kernel)
    values = VectorDecayChunk(first, scratch)
    keys = VectorDecayChunk(second, scratch + VectorDecayChunk.scratchCount(first))
    values.buffers.ldState = kernel.valueDimension
    keys.buffers.ldState = kernel.valueDimension
  }

  static func scratchCount(_ kernel: GatedSlotRecurrence) -> Int {
    let (values, keys) = parts(kernel)
    return (VectorDecayChunk.scratchCount(values) + VectorDecayChunk.scratchCount(keys) + 15) & ~15
  }

  private static func parts(
    _ kernel: GatedSlotRecurrence
  ) -> (values: DiagonalRecurrence, keys: DiagonalRecurrence) {
    func part(_ width: Int) -> DiagonalRecurrence {
      DiagonalRecurrence(rows: kernel.slots, columns: width, chunkLength: kernel.chunkLength)
    }
    return (part(kernel.valueWidth), part(kernel.keyWidth))
  }

  /// `e^{b_C}` of each slot.
  var totals: UnsafePointer<Float> { UnsafePointer(values.buffers.totals) }

  /// Sets the decays for the tokens of a chunk, and what they write.
  mutating func begin(_ head: RecurrenceHead, _ range: Range<Int>) {
    values.setDecays(head, range)
    keys.share(values)
    forEachGate(head, range) { place, g, count in
      Self.written(g).store(values.buffers.k + place)
    }
    values.prepareState()
  }

  /// Calls `body` with each register of gates and its place in a `[C, M]` matrix; lanes beyond the slots are 0.
  @inline(__always)
  private func forEachGate(
    _ head: RecurrenceHead, _ range: Range<Int>,
    _ body: (_ place: Int, _ g: Lanes, _ count: Int) -> Void
  ) {
    guard let g = head.g else { preconditionFailure("slots need g") }
    let (slots, ld) = (kernel.slots, values.buffers.ldK)
    for (i, t) in range.enumerated() {
      for m in stride(from: 0, to: slots, by: Lanes.width) {
        let count = min(Lanes.width, slots - m)
        body(i * ld + m, Lanes.load(g[t] + m, count: count), count)
      }
    }
  }

  /// `1 − e^g`, with all digits where `g` is near 0.
  private static func written(_ g: Lanes) -> Lanes {
    // e^g − 1 = g (1 + g/2 (1 + g/3 (… (1 + g/8)))), good to a float from −0.5.
    @inline(__always) func next(_ n: Float, _ inner: Lanes) -> Lanes {
      Lanes(repeating: 1).addingProduct(g * Lanes(repeating: 1 / n), inner)
    }
    let p = next(2, next(3, next(4, next(5, next(6, next(7, next(8, Lanes(repeating: 1))))))))
    let far = Lanes(repeating: 1) - Lanes.exp(g)
    return (-g * p).replacing(with: far, where: g .< Lanes(repeating: -0.5))
  }

  func loadQ(_ head: RecurrenceHead, _ range: Range<Int>) {
    let x = keys.buffers
    x.load(head.q, range, x.V, into: x.dO, ld: x.ldV)
  }

  func loadK(_ head: RecurrenceHead, _ range: Range<Int>) {
    let x = keys.buffers
    x.load(head.k, range, x.V, into: x.v, ld: x.ldV)
  }

  func loadV(_ head: RecurrenceHead, _ range: Range<Int>) { values.buffers.loadV(head, range) }

  func loadDO(_ gradient: RecurrenceGradient, _ range: Range<Int>) {
    values.buffers.loadDO(gradient, range)
  }

  /// `target ← rows` of `M` floats each.
  func load(
    _ rows: MutableTokenRows, _ range: Range<Int>, into target: UnsafeMutablePointer<Float>
  ) {
    let x = values.buffers
    x.load(
      TokenRows(rows.base, stride: rows.stride), range, kernel.slots, into: target, ld: x.ldK)
  }

  /// `rows ← source`, of `M` floats each.
  func store(_ source: UnsafePointer<Float>, to rows: MutableTokenRows, _ range: Range<Int>) {
    let x = values.buffers
    Rows.copy(
      source, stride: x.ldK, rows: x.tokens, columns: kernel.slots, into: rows[range.lowerBound],
      ld: rows.stride)
  }

  /// `[H^k | H^v] ← (e^{b_C−b} ⊙ s)ᵀ [k | v]`: what a chunk adds to its states.
  func addToState(_ state: UnsafeMutablePointer<Float>) {
    keys.addToState(from: nil, into: state)
    values.addToState(from: nil, into: state + kernel.keyWidth)
  }

  /// What a chunk adds to the gradients of the states before it.
  func addToStateGradient(_ state: UnsafeMutablePointer<Float>) {
    keys.prepareInter()
    values.prepareInter()
    keys.addToStateGradient(from: nil, into: state)
    values.addToStateGradient(from: nil, into: state + kernel.keyWidth)
  }

  /// `p ← softmax` of the logits in `keys.dq`.
  func softmax() {
    let (slots, ld) = (kernel.slots, values.buffers.ldK)
    for i in 0..<values.buffers.tokens {
      let (x, p) = (keys.buffers.dq + i * ld, values.buffers.q + i * ld)
      var largest = -Float.infinity
      for m in 0..<slots { largest = max(largest, x[m]) }
      var sum = Lanes()
      for m in stride(from: 0, to: slots, by: Lanes.width) {
        let y = Lanes.exp(Lanes.load(x + m) - Lanes(repeating: largest)).first(
          min(Lanes.width, slots - m))
        y.store(p + m)
        sum += y
      }
      let factor = Lanes(repeating: 1 / sum.sum())
      for m in stride(from: 0, to: slots, by: Lanes.width) {
        (Lanes.load(p + m) * factor).store(p + m)
      }
    }
  }

  /// The logits' gradient `p ⊙ (dp − p·dp)` in `keys.q`, of `dp` in `values.dq`.
  func softmaxBackward() {
    let (slots, ld) = (kernel.slots, values.buffers.ldK)
    for i in 0..<values.buffers.tokens {
      let (p, dp) = (values.buffers.q + i * ld, values.buffers.dq + i * ld)
      let mean = Lanes(repeating: Rows.dot(p, dp, count: slots))
      for m in stride(from: 0, to: slots, by: Lanes.width) {
        (Lanes.load(p + m) * (Lanes.load(dp + m) - mean)).store(keys.buffers.q + (i * ld + m))
      }
    }
  }

  /// `dq ← dq + stored dq` and so on, where they accumulate.
  func addStored(_ gradient: RecurrenceGradient, _ range: Range<Int>) {
    forEachGradient(gradient) { own, rows, columns, ld in
      guard rows.accumulates else { return }
      Rows.add(
        rows[range.lowerBound], stride: rows.stride, rows: range.count, columns: columns, into: own,
        ld: ld)
    }
  }

  /// `dq ← stored dq` and so on.
  func reload(_ gradient: RecurrenceGradient, _ range: Range<Int>) {
    let x = values.buffers
    forEachGradient(gradient) { own, rows, columns, ld in
      x.load(TokenRows(rows.base, stride: rows.stride), range, columns, into: own, ld: ld)
    }
  }

  /// Sets the gradients of `s` to zero.
  func clearWritten() {
    let count = values.buffers.tokens * values.buffers.ldK
    keys.buffers.dk.update(repeating: 0, count: count)
    values.buffers.dk.update(repeating: 0, count: count)
  }

  /// Writes the gradients of queries, keys and values: past the caches, unless they will be read again soon.
  func storeGradients(
    _ gradient: RecurrenceGradient, _ range: Range<Int>, isReadAgain: Bool = false
  ) {
    forEachGradient(gradient) { own, rows, columns, ld in
      let target = rows[range.lowerBound]
      if isReadAgain {
        Rows.copy(
          own, stride: ld, rows: range.count, columns: columns, into: target, ld: rows.stride)
      } else {
        Rows.stream(
          own, stride: ld, rows: range.count, columns: columns, into: target, ld: rows.stride)
      }
    }
  }

  /// What the gradients are, where they go and how wide they are.
  @inline(__always)
  private func forEachGradient(
    _ gradient: RecurrenceGradient,
    _ body: (UnsafeMutablePointer<Float>, MutableTokenRows, _ columns: Int, _ ld: Int) -> Void
  ) {
    let (first, second) = (keys.buffers, values.buffers)
    body(first.o, gradient.dq, first.V, first.ldV)
    body(first.dv, gradient.dk, first.V, first.ldV)
    body(second.dv, gradient.dv, second.V, second.ldV)
  }

  /// `stored dg ← dg` of both passes and by what was written, or their sum; 0 where the log decay is clamped.
  func storeDG(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ range: Range<Int>, adds: Bool
  ) {
    let (first, second) = (keys.buffers, values.buffers)
    forEachGate(head, range) { place, g, count in
      let written = Lanes.load(first.dk + place) + Lanes.load(second.dk + place)
      let passes = Lanes.load(first.dg + place) + Lanes.load(second.dg + place)
      (passes - Lanes.exp(g) * written).store(second.dg + place)
    }
    if !values.isMild, let g = head.g {
      Rows.clearClamped(
        g[range.lowerBound], stride: g.stride, rows: range.count, columns: kernel.slots,
        in: second.dg, ld: second.ldK)
    }
    second.storeDG(gradient, range, width: kernel.slots, ld: second.ldK, adds: adds)
  }
}
