/// A linear recurrence of each channel by itself: `h_t = e^{g_t} ⊙ h_{t−1} + x_t`, and its twin.
///
/// Of one row's shard: `T` tokens of `C` channels, read and written once, in the order of time, with a state of `C` numbers.
/// Back, with `D_t` the gradient of `h_t` from everything after it,
///
///     dx_t = D_t = dh_t + e^{g_{t+1}} D_{t+1}        dg_t = D_t ⊙ h_{t−1} ⊙ e^{g_t}
///
/// As no decay is above 1, running products and sums lose nothing; a log decay of any size below zero, −∞ included, is
/// taken as it is. All calls work on some channels only, so that threads share a row.
///
/// - Source: HGRN (arXiv 2311.04823), equation 4.
package struct ElementwiseRecurrence: Sendable {
  /// `C`.
  package let channels: Int

  /// The recurrence of so many channels.
  package init(channels: Int) { self.channels = channels }

  /// What one row of a shard reads.
  ///
  /// Unchecked: threads only read what it points to, which its caller keeps alive.
  package struct Row: @unchecked Sendable {
    /// Log decays ≤ 0, in nats: `[T, C]`.
    let g: UnsafePointer<Float>
    /// The tokens of each document that has some here, in order.
    let pieces: [Range<Int>]
    /// Whether the first piece goes on with the state before the shard.
    let continues: Bool

    /// A row of `tokens` tokens; documents start at `starts`, ascending, where the state is zero.
    package init(g: UnsafePointer<Float>, tokens: Int, starts: [Int] = []) {
      self.g = g
      continues = starts.first != 0
      let bounds = (continues ? [0] : []) + starts + [tokens]
      pieces = zip(bounds, bounds.dropFirst()).map { $0..<$1 }
    }

    /// Whether a document starts in the shard, so that nothing crosses it.
    var containsStart: Bool { !continues || pieces.count > 1 }
  }

  /// The shard's `M = Π e^{g_t}`, 0 where it contains a document's start, and its state from a zero start, `B`.
  ///
  /// - Parameter x: Inputs, `[T, C]`.
  package func summarize(
    _ row: Row, x: UnsafePointer<Float>, map: UnsafeMutablePointer<Float>,
    state: UnsafeMutablePointer<Float>, channels range: Range<Int>
  ) {
    forEach(range) { c, n in
      Lanes(repeating: row.containsStart ? 0 : 1).store(map + c, count: n)
      Lanes().store(state + c, count: n)
    }
    guard let last = row.pieces.last else { return }
    for t in last {
      let (x, g) = (x + t &* channels, row.g + t &* channels)
      forEach(range) { c, n in
        let a = Lanes.exp(Lanes.load(g + c, count: n))
        (a * Lanes.load(map + c, count: n)).store(map + c, count: n)
        Lanes.load(x + c, count: n).addingProduct(a, Lanes.load(state + c, count: n))
          .store(state + c, count: n)
      }
    }
  }

  /// Writes `h`, `[T, C]`, from a state that is there.
  ///
  /// - Parameters:
  ///   - x: Inputs, `[T, C]`, which the twin does not read.
  ///   - initial: The state before the shard, `[C]`; nil for zero.
  ///   - final: The state after it, written.
  package func forward(
    _ row: Row, x: UnsafePointer<Float>, initial: UnsafePointer<Float>?,
    h: UnsafeMutablePointer<Float>, final state: UnsafeMutablePointer<Float>,
    channels range: Range<Int>
  ) {
    begin(state, row.continues ? initial : nil, range)
    for (index, piece) in row.pieces.enumerated() {
      if index > 0 { begin(state, nil, range) }
      for t in piece {
        let (x, g, h) = (x + t &* channels, row.g + t &* channels, h + t &* channels)
        forEach(range) { c, n in
          let a = Lanes.exp(Lanes.load(g + c, count: n))
          let next = Lanes.load(x + c, count: n)
            .addingProduct(a, Lanes.load(state + c, count: n))
          next.store(state + c, count: n)
          write(next, h + c, n)
        }
      }
    }
  }

  /// The shard's share `E` of the gradient of its incoming state, `[C]`, from `dh` alone.
  package func summarizeBackward(
    _ row: Row, dh: UnsafePointer<Float>, state: UnsafeMutablePointer<Float>,
    channels range: Range<Int>
  ) {
    begin(state, nil, range)
    guard row.continues, let first = row.pieces.first else { return }
    for t in first.reversed() {
      let (g, dh) = (row.g + t &* channels, dh + t &* channels)
      forEach(range) { c, n in
        let a = Lanes.exp(Lanes.load(g + c, count: n))
        (a * (Lanes.load(dh + c, count: n) + Lanes.load(state + c, count: n)))
          .store(state + c, count: n)
      }
    }
  }

  /// Writes `dx` and `dg`, `[T, C]` each, from a gradient of the state after the shard that is there.
  ///
  /// - Parameters:
  ///   - h: What the forward pass wrote.
  ///   - initial: The state before the shard, `[C]`; nil for zero.
  ///   - final: The gradient of the state after the shard, `[C]`; nil for zero.
  ///   - dInitial: The gradient of the state before it, written.
  package func backward(
    _ row: Row, h: UnsafePointer<Float>, initial: UnsafePointer<Float>?,
    dh: UnsafePointer<Float>, final: UnsafePointer<Float>?, dx: UnsafeMutablePointer<Float>,
    dg: UnsafeMutablePointer<Float>, dInitial state: UnsafeMutablePointer<Float>,
    channels range: Range<Int>
  ) {
    begin(state, final, range)
    for (index, piece) in row.pieces.enumerated().reversed() {
      for t in piece.reversed() {
        let (g, dh) = (row.g + t &* channels, dh + t &* channels)
        let (dx, dg) = (dx + t &* channels, dg + t &* channels)
        let isFirst = t == piece.lowerBound
        let before =
          isFirst ? (index == 0 && row.continues ? initial : nil) : h + (t &- 1) &* channels
        forEachDescending(range) { c, n in
          let a = Lanes.exp(Lanes.load(g + c, count: n))
          let d = Lanes.load(dh + c, count: n) + Lanes.load(state + c, count: n)
          write(d, dx + c, n)
          let through = a * d
          through.store(state + c, count: n)
          write(before.map { through * Lanes.load($0 + c, count: n) } ?? Lanes(), dg + c, n)
        }
      }
      if index > 0 || !row.continues { begin(state, nil, range) }
    }
  }

  /// `state ← source`, or zero.
  private func begin(
    _ state: UnsafeMutablePointer<Float>, _ source: UnsafePointer<Float>?, _ range: Range<Int>
  ) {
    Rows.copy(
      source.map { $0 + range.lowerBound }, count: range.count, into: state + range.lowerBound)
  }

  /// Past the caches where it is a whole register.
  @inline(__always)
  private func write(_ x: Lanes, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    count == Lanes.width ? x.stream(target) : x.store(target, count: count)
  }

  /// Works on a register of channels at a time; the last may be a part of one.
  @inline(__always)
  private func forEach(_ range: Range<Int>, _ body: (_ channel: Int, _ count: Int) -> Void) {
    var c = range.lowerBound
    while c &+ Lanes.width <= range.upperBound {
      body(c, Lanes.width)
      c &+= Lanes.width
    }
    if c < range.upperBound { body(c, range.upperBound &- c) }
  }

  /// The same from the last to the first, so that a walk back in time meets memory in one direction.
  @inline(__always)
  private func forEachDescending(
    _ range: Range<Int>, _ body: (_ channel: Int, _ count: Int) -> Void
  ) {
    let whole = range.count / Lanes.width
    var c = range.lowerBound &+ whole &* Lanes.width
    if c < range.upperBound { body(c, range.upperBound &- c) }
    while c > range.lowerBound {
      c &-= Lanes.width
      body(c, Lanes.width)
    }
  }
}
