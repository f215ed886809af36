/// Copies of a chunk's rows into contiguous scratch and back, scaled on the way.
enum Rows {
  /// `target_i ← source_i`.
  @inline(__always)
  static func copy(
    _ source: UnsafePointer<Float>, stride: Int, rows: Int, columns: Int,
    into target: UnsafeMutablePointer<Float>, ld: Int
  ) {
    map(source, stride, rows, columns, target, ld) { _, x in x }
  }

  /// `target_i ← source_i` of rows of bf16 numbers.
  @inline(__always)
  static func widen(
    _ source: UnsafePointer<UInt16>, stride: Int, rows: Int, columns: Int,
    into target: UnsafeMutablePointer<Float>, ld: Int
  ) {
    for i in 0..<rows {
      let (from, to) = (source + i &* stride, target + i &* ld)
      for j in 0..<columns { to[j] = Float(bitPattern: UInt32(from[j]) &<< 16) }
    }
  }

  /// `target_i ← source_i`, written past the caches: a line that is overwritten whole is not read first.
  @inline(__always)
  static func stream(
    _ source: UnsafePointer<Float>, stride: Int, rows: Int, columns: Int,
    into target: UnsafeMutablePointer<Float>, ld: Int
  ) {
    for i in 0..<rows {
      let (from, to) = (source + i &* stride, target + i &* ld)
      var j = 0
      while j &+ Lanes.width <= columns {
        Lanes.load(from + j).stream(to + j)
        j &+= Lanes.width
      }
      if j < columns {
        Lanes.load(from + j, count: columns &- j).store(to + j, count: columns &- j)
      }
    }
  }

  /// `target_i ← f_i · source_i`.
  @inline(__always)
  static func scale(
    _ source: UnsafePointer<Float>, stride: Int, rows: Int, columns: Int,
    by factors: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>, ld: Int
  ) {
    map(source, stride, rows, columns, target, ld) { i, x in x * Lanes(repeating: factors[i]) }
  }

  /// `target_i ← target_i + source_i`.
  @inline(__always)
  static func add(
    _ source: UnsafePointer<Float>, stride: Int, rows: Int, columns: Int,
    into target: UnsafeMutablePointer<Float>, ld: Int
  ) {
    for i in 0..<rows {
      let (from, to) = (source + i &* stride, target + i &* ld)
      var j = 0
      while j < columns {
        let count = min(Lanes.width, columns &- j)
        let sum = Lanes.load(from + j, count: count) + Lanes.load(to + j, count: count)
        sum.store(to + j, count: count)
        j &+= Lanes.width
      }
    }
  }

  /// `target ← source` of `count` floats, or 0 where there is no source.
  @inline(__always)
  static func copy(
    _ source: UnsafePointer<Float>?, count: Int, into target: UnsafeMutablePointer<Float>
  ) {
    if let source {
      target.update(from: source, count: count)
    } else {
      target.update(repeating: 0, count: count)
    }
  }

  /// `target_x ← target_x + f · source_x`, for `count` floats: `StateMap.combine` on one row.
  @inline(__always)
  static func addScaled(
    _ source: UnsafePointer<Float>, by factor: Float, count: Int,
    into target: UnsafeMutablePointer<Float>
  ) {
    let factors = Lanes(repeating: factor)
    var j = 0
    while j < count {
      let n = min(Lanes.width, count &- j)
      let y = Lanes.load(target + j, count: n)
      y.addingProduct(factors, Lanes.load(source + j, count: n)).store(target + j, count: n)
      j &+= Lanes.width
    }
  }

  /// `target_x ← f · a_x + g · b_x`, for `count` floats; `target` may be either.
  @inline(__always)
  static func combine(
    _ a: UnsafePointer<Float>, by f: Float, _ b: UnsafePointer<Float>, by g: Float, count: Int,
    into target: UnsafeMutablePointer<Float>
  ) {
    let (f, g) = (Lanes(repeating: f), Lanes(repeating: g))
    var j = 0
    while j < count {
      let n = min(Lanes.width, count &- j)
      let y = g * Lanes.load(b + j, count: n)
      y.addingProduct(f, Lanes.load(a + j, count: n)).store(target + j, count: n)
      j &+= Lanes.width
    }
  }

  /// Zeros in the gradients of log decays below −80, which count as −80 whatever they are.
  @inline(__always)
  static func clearClamped(
    _ logDecays: UnsafePointer<Float>, stride: Int, rows: Int, columns: Int,
    in gradients: UnsafeMutablePointer<Float>, ld: Int
  ) {
    for i in 0..<rows {
      let (g, dg) = (logDecays + i &* stride, gradients + i &* ld)
      var j = 0
      while j < columns {
        let n = min(Lanes.width, columns &- j)
        let isClamped = Lanes.load(g + j, count: n) .< Lanes(repeating: -80)
        Lanes.load(dg + j, count: n).replacing(with: 0, where: isClamped).store(dg + j, count: n)
        j &+= Lanes.width
      }
    }
  }

  /// `Σ_x a_x b_x` over `count` floats.
  @inline(__always)
  static func dot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, count: Int) -> Float {
    var (even, odd) = (Lanes(), Lanes())
    var j = 0
    while j &+ 2 &* Lanes.width <= count {
      even.addProduct(Lanes.load(a + j), Lanes.load(b + j))
      odd.addProduct(Lanes.load(a + j + Lanes.width), Lanes.load(b + j + Lanes.width))
      j &+= 2 &* Lanes.width
    }
    while j < count {
      let n = min(Lanes.width, count &- j)
      even.addProduct(Lanes.load(a + j, count: n), Lanes.load(b + j, count: n))
      j &+= Lanes.width
    }
    return (even + odd).sum()
  }

  @inline(__always)
  private static func map(
    _ source: UnsafePointer<Float>, _ stride: Int, _ rows: Int, _ columns: Int,
    _ target: UnsafeMutablePointer<Float>, _ ld: Int, _ body: (Int, Lanes) -> Lanes
  ) {
    for i in 0..<rows {
      let (from, to) = (source + i &* stride, target + i &* ld)
      var j = 0
      while j &+ Lanes.width <= columns {
        body(i, Lanes.load(from + j)).store(to + j)
        j &+= Lanes.width
      }
      if j < columns {
        body(i, Lanes.load(from + j, count: columns &- j)).store(to + j, count: columns &- j)
      }
    }
  }
}
