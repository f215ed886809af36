extension ShortConvolution {
  /// How many taps there are, known to the compiler, so that they stay in registers.
  struct Taps<let W: Int> {}

  /// Tokens of one document.
  struct Segment {
    let tokens: Range<Int>
    /// The first token that they read, 0 or more unless it is in the halo.
    let first: Int
  }

  /// What the backward pass reads and writes.
  struct Gradients {
    let dy: UnsafePointer<Float>
    let dx, dHalo: UnsafeMutablePointer<Float>
    let accumulates: Bool
    /// `dz` of the last `W − 1` tokens before a block, `[W − 1, C]`.
    let late: UnsafeMutablePointer<Float>
    /// The gradients of taps and bias of some blocks, `[W + 1, C]`, added to.
    let sums: UnsafeMutablePointer<Float>
  }

  /// One register of channels over a block of tokens of a segment.
  @inline(__always)
  func forward<X: StoredNumber, Y: StoredNumber, let W: Int>(
    _ row: Row, _ numbers: UnsafePointer<X>, _ weights: Weights, _ y: UnsafeMutablePointer<Y>,
    _ block: Range<Int>, _ segment: Segment, _ c: Int, _ n: Int, _: Taps<W>
  ) {
    let w = taps(weights, c, n, Taps<W>())
    var x = sources(row, numbers, before: block.lowerBound, segment, c, n, Taps<W>())
    let bias = weights.bias.map { Lanes.load($0 + c, count: n) } ?? Lanes()
    var (source, target) = (
      numbers + (block.lowerBound &* channels &+ c), y + (block.lowerBound &* channels &+ c)
    )
    for _ in 0..<block.count {
      let z = sum(X.lanes(source, count: n), &x, w, bias)
      switch activation {
      case .silu: Y.store(z * sigmoid(z), target, count: n)
      default: Y.store(z, target, count: n)
      }
      source += channels
      target += channels
    }
  }

  /// The gradients of one register of channels over a block of tokens of a segment, or behind its end.
  @inline(__always)
  func backward<X: StoredNumber, let W: Int>(
    _ row: Row, _ numbers: UnsafePointer<X>, _ weights: Weights, _ gradients: Gradients,
    _ block: Range<Int>, _ segment: Segment, _ c: Int, _ n: Int, _: Taps<W>
  ) {
    let w = taps(weights, c, n, Taps<W>())
    var x = sources(row, numbers, before: block.lowerBound, segment, c, n, Taps<W>())
    let bias = weights.bias.map { Lanes.load($0 + c, count: n) } ?? Lanes()
    // dz of the last tokens; the newest is last.
    var d = InlineArray<W, Lanes> { _ in Lanes() }
    if block.lowerBound > segment.tokens.lowerBound {
      for j in 1..<W {
        let place = gradients.late + ((j &- 1) &* channels &+ c)
        d[unchecked: j] = Lanes.load(place, count: n)
      }
    }
    var dw = InlineArray<W, Lanes> { _ in Lanes() }
    var db = Lanes()
    for token in block {
      for j in 0..<W &- 1 { d[unchecked: j] = d[unchecked: j &+ 1] }
      if token < segment.tokens.upperBound {
        let place = token &* channels &+ c
        let z = sum(X.lanes(numbers + place, count: n), &x, w, bias)
        var dz = Lanes.load(gradients.dy + place, count: n)
        if case .silu = activation {
          let s = sigmoid(z)
          dz = dz * s * Lanes(repeating: 1).addingProduct(z, Lanes(repeating: 1) - s)
        }
        for j in 0..<W { dw[unchecked: j] = dw[unchecked: j].addingProduct(dz, x[unchecked: j]) }
        db = db + dz
        d[unchecked: W &- 1] = dz
      } else {
        d[unchecked: W &- 1] = Lanes()
      }
      // All tokens that read this source are known now.
      let source = token &- W &+ 1
      guard source >= segment.first else { continue }
      var g = Lanes()
      for j in 0..<W { g = g.addingProduct(w[unchecked: j], d[unchecked: W &- 1 &- j]) }
      if source < 0 {
        g.store(gradients.dHalo + ((source &+ W &- 1) &* channels &+ c), count: n)
      } else {
        let place = gradients.dx + (source &* channels &+ c)
        if gradients.accumulates { g = g + Lanes.load(place, count: n) }
        g.store(place, count: n)
      }
    }
    for j in 1..<W {
      let place = gradients.late + ((j &- 1) &* channels &+ c)
      d[unchecked: j].store(place, count: n)
    }
    for j in 0..<W {
      let place = gradients.sums + (j &* channels &+ c)
      (Lanes.load(place, count: n) + dw[unchecked: j]).store(place, count: n)
    }
    let place = gradients.sums + (W &* channels &+ c)
    (Lanes.load(place, count: n) + db).store(place, count: n)
  }

  /// The taps of a register of channels; the last is the token's own.
  @inline(__always)
  private func taps<let W: Int>(_ weights: Weights, _ c: Int, _ n: Int, _: Taps<W>)
    -> InlineArray<W, Lanes>
  {
    var w = InlineArray<W, Lanes> { _ in Lanes() }
    for j in 0..<W {
      let place = weights.taps + (j &* channels &+ c)
      w[unchecked: j] = Lanes.load(place, count: n)
    }
    return w
  }

  /// What the first token of a block reads but itself, one register further on than it will stand.
  @inline(__always)
  private func sources<X: StoredNumber, let W: Int>(
    _ row: Row, _ numbers: UnsafePointer<X>, before token: Int, _ segment: Segment, _ c: Int,
    _ n: Int, _: Taps<W>
  ) -> InlineArray<W, Lanes> {
    var x = InlineArray<W, Lanes> { _ in Lanes() }
    for j in 1..<W {
      let source = token &- W &+ j
      guard source >= segment.first, source < segment.tokens.upperBound else { continue }
      x[unchecked: j] =
        source < 0
        ? Lanes.load(
          row.halo.unsafelyUnwrapped + ((source &+ W &- 1) &* channels &+ c), count: n)
        : X.lanes(numbers + (source &* channels &+ c), count: n)
    }
    return x
  }

  /// Takes the next token in, and gives its sum.
  @inline(__always)
  private func sum<let W: Int>(
    _ next: Lanes, _ x: inout InlineArray<W, Lanes>, _ w: InlineArray<W, Lanes>, _ bias: Lanes
  ) -> Lanes {
    for j in 0..<W &- 1 { x[unchecked: j] = x[unchecked: j &+ 1] }
    x[unchecked: W &- 1] = next
    var z = bias
    for j in 0..<W { z = z.addingProduct(w[unchecked: j], x[unchecked: j]) }
    return z
  }

  @inline(__always)
  private func sigmoid(_ z: Lanes) -> Lanes {
    let low = z.replacing(with: -80, where: z .< Lanes(repeating: -80))
    return Lanes(repeating: 1) / (Lanes(repeating: 1) + Lanes.exp(-low))
  }
}
