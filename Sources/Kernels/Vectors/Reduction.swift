/// Sums and extremes of a row that vectorise: Swift keeps the order of a plain loop, so these keep several at once.
package enum Reduction {
  /// `Σ a_i b_i` of `count` elements.
  @inline(__always) package static func dot(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int
  ) -> Float {
    var (s0, s1, s2, s3) = (
      SIMD8<Float>(), SIMD8<Float>(), SIMD8<Float>(), SIMD8<Float>()
    )
    let (va, vb) = (UnsafeRawPointer(a), UnsafeRawPointer(b))
    @inline(__always) func load(_ p: UnsafeRawPointer, _ i: Int) -> SIMD8<Float> {
      p.loadUnaligned(fromByteOffset: i * 4, as: SIMD8<Float>.self)
    }
    var i = 0
    while i + 32 <= count {
      s0 = s0.addingProduct(load(va, i), load(vb, i))
      s1 = s1.addingProduct(load(va, i + 8), load(vb, i + 8))
      s2 = s2.addingProduct(load(va, i + 16), load(vb, i + 16))
      s3 = s3.addingProduct(load(va, i + 24), load(vb, i + 24))
      i += 32
    }
    while i + 8 <= count {
      s0 = s0.addingProduct(load(va, i), load(vb, i))
      i += 8
    }
    var sum = ((s0 + s1) + (s2 + s3)).sum()
    while i < count {
      sum = sum.addingProduct(a[i], b[i])
      i += 1
    }
    return sum
  }

  /// `Σ a_i b_i c_i` of `count` elements.
  @inline(__always) static func dot(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ c: UnsafePointer<Float>, _ count: Int
  ) -> Float {
    var (even, odd) = (SIMD8<Float>(), SIMD8<Float>())
    let (va, vb, vc) = (UnsafeRawPointer(a), UnsafeRawPointer(b), UnsafeRawPointer(c))
    @inline(__always) func load(_ p: UnsafeRawPointer, _ i: Int) -> SIMD8<Float> {
      p.loadUnaligned(fromByteOffset: i * 4, as: SIMD8<Float>.self)
    }
    var i = 0
    while i + 16 <= count {
      even = even.addingProduct(load(va, i) * load(vb, i), load(vc, i))
      odd = odd.addingProduct(load(va, i + 8) * load(vb, i + 8), load(vc, i + 8))
      i += 16
    }
    if i + 8 <= count {
      even = even.addingProduct(load(va, i) * load(vb, i), load(vc, i))
      i += 8
    }
    var sum = (even + odd).sum()
    while i < count {
      sum = sum.addingProduct(a[i] * b[i], c[i])
      i += 1
    }
    return sum
  }

  /// `Σ a_i` of `count` elements.
  @inline(__always) static func sum(_ a: UnsafePointer<Float>, _ count: Int) -> Float {
    var (even, odd) = (SIMD8<Float>(), SIMD8<Float>())
    let va = UnsafeRawPointer(a)
    @inline(__always) func load(_ i: Int) -> SIMD8<Float> {
      va.loadUnaligned(fromByteOffset: i * 4, as: SIMD8<Float>.self)
    }
    var i = 0
    while i + 16 <= count {
      even += load(i)
      odd += load(i + 8)
      i += 16
    }
    if i + 8 <= count {
      even += load(i)
      i += 8
    }
    var sum = (even + odd).sum()
    while i < count {
      sum += a[i]
      i += 1
    }
    return sum
  }

  /// The least and the largest of `count` elements, of which there is one at least.
  @inline(__always) static func extremes(
    _ a: UnsafePointer<Float>, _ count: Int
  ) -> (least: Float, largest: Float) {
    var (low, high) = (Lanes(repeating: a[0]), Lanes(repeating: a[0]))
    var i = 0
    while i &+ Lanes.width <= count {
      let lanes = Lanes.load(a + i)
      low.replace(with: lanes, where: lanes .< low)
      high.replace(with: lanes, where: lanes .> high)
      i &+= Lanes.width
    }
    var (least, largest) = (low.least, high.largest)
    while i < count {
      (least, largest) = (min(least, a[i]), max(largest, a[i]))
      i &+= 1
    }
    return (least, largest)
  }
}
