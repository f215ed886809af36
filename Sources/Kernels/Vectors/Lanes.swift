#if LASP_AVX512
  internal import _Builtin_intrinsics.intel

  /// One vector register of floats.
  typealias Lanes = SIMD16<Float>
  private typealias Bits = SIMD16<UInt32>

  extension Lanes {
    /// As many numbers of 16 bits.
    typealias Halves = SIMD16<UInt16>
  }
#else
  /// One vector register of floats.
  typealias Lanes = SIMD8<Float>
  private typealias Bits = SIMD8<UInt32>

  extension Lanes {
    /// As many numbers of 16 bits.
    typealias Halves = SIMD8<UInt16>
  }
#endif

extension Lanes {
  /// Floats in a register.
  static var width: Int { scalarCount }

  /// Reads a whole register, aligned or not.
  @inline(__always)
  static func load(_ source: UnsafePointer<Float>) -> Lanes {
    UnsafeRawPointer(source).loadUnaligned(as: Lanes.self)
  }

  /// Writes a whole register, aligned or not.
  @inline(__always)
  func store(_ target: UnsafeMutablePointer<Float>) {
    UnsafeMutableRawPointer(target).storeBytes(of: self, as: Lanes.self)
  }

  #if LASP_AVX512
    /// Reads the first `count` lanes and nothing beyond them; the others are 0.
    @inline(__always)
    static func load(_ source: UnsafePointer<Float>, count: Int) -> Lanes {
      _mm512_maskz_loadu_ps(UInt16(truncatingIfNeeded: (1 &<< count) &- 1), source)
    }

    /// Writes the first `count` lanes and nothing beyond them.
    @inline(__always)
    func store(_ target: UnsafeMutablePointer<Float>, count: Int) {
      _mm512_mask_storeu_ps(target, UInt16(truncatingIfNeeded: (1 &<< count) &- 1), self)
    }

    /// The first `count` lanes; the others are 0.
    @inline(__always)
    func first(_ count: Int) -> Lanes {
      _mm512_maskz_mov_ps(UInt16(truncatingIfNeeded: (1 &<< count) &- 1), self)
    }
  #else
    /// Reads the first `count` lanes and nothing beyond them; the others are 0.
    @inline(__always)
    static func load(_ source: UnsafePointer<Float>, count: Int) -> Lanes {
      if count == width { return load(source) }
      var lanes = Lanes()
      for lane in 0..<count { lanes[lane] = source[lane] }
      return lanes
    }

    /// Writes the first `count` lanes and nothing beyond them.
    @inline(__always)
    func store(_ target: UnsafeMutablePointer<Float>, count: Int) {
      if count == Lanes.width { return store(target) }
      for lane in 0..<count { target[lane] = self[lane] }
    }

    /// The first `count` lanes; the others are 0.
    @inline(__always)
    func first(_ count: Int) -> Lanes {
      var lanes = self
      for lane in count..<max(count, Lanes.width) { lanes[lane] = 0 }
      return lanes
    }
  #endif

  /// Writes a whole register past the caches where the place allows it: 64-byte aligned, and not read again soon.
  @inline(__always)
  func stream(_ target: UnsafeMutablePointer<Float>) {
    #if LASP_AVX512
      if UInt(bitPattern: target) & 63 == 0 { return _mm512_stream_ps(target, self) }
    #endif
    store(target)
  }

  /// `e^x` of each lane: as `VectorMath.exp` for `x ≤ 88`, without its infinity.
  @inline(__always)
  static func exp(_ x: Lanes) -> Lanes {
    let magic = Lanes(repeating: 12_582_912)
    let shifted = magic.addingProduct(x, Lanes(repeating: 1.442_695_04))
    let n = shifted - magic
    let r = x.addingProduct(n, Lanes(repeating: -0.693_145_752))
      .addingProduct(n, Lanes(repeating: -1.428_606_77e-6))
    var p = Lanes(repeating: 1.984_126_98e-4)
    p = Lanes(repeating: 1.388_888_89e-3).addingProduct(p, r)
    p = Lanes(repeating: 8.333_333_33e-3).addingProduct(p, r)
    p = Lanes(repeating: 4.166_666_67e-2).addingProduct(p, r)
    p = Lanes(repeating: 0.166_666_667).addingProduct(p, r)
    p = Lanes(repeating: 0.5).addingProduct(p, r)
    p = Lanes(repeating: 1).addingProduct(p, r)
    p = Lanes(repeating: 1).addingProduct(p, r)
    let exponent = unsafeBitCast(shifted, to: Bits.self) &<< 23
    let y = unsafeBitCast(unsafeBitCast(p, to: Bits.self) &+ exponent, to: Lanes.self)
    return y.replacing(with: 0, where: x .< Lanes(repeating: -87.336_54))
  }

  /// `1 / (1 + e^−x)` of each lane.
  @inline(__always)
  static func sigmoid(_ x: Lanes) -> Lanes {
    1 / (1 + exp(pointwiseMin(-x, Lanes(repeating: 88))))
  }

  /// Numbers from their bits in bf16.
  @inline(__always)
  init(bitsOfBFloat16 halves: Halves) {
    #if LASP_AVX512
      let wide = _mm512_cvtepu16_epi32(unsafeBitCast(halves, to: SIMD4<Int64>.self))
      self = unsafeBitCast(unsafeBitCast(wide, to: Bits.self) &<< 16, to: Lanes.self)
    #else
      self = unsafeBitCast(Bits(truncatingIfNeeded: halves) &<< 16, to: Lanes.self)
    #endif
  }

  /// The bits of the nearest bf16 numbers, as `BFloat16.rounded`.
  @inline(__always)
  var bitsOfBFloat16: Halves {
    #if LASP_AVX512
      // The generic conversion is not one instruction.
      let words = _mm512_cvtepi32_epi16(unsafeBitCast(rounded &>> 16, to: SIMD8<Int64>.self))
      return unsafeBitCast(words, to: Halves.self)
    #else
      return Halves(truncatingIfNeeded: rounded &>> 16)
    #endif
  }

  /// The nearest bf16 numbers in the upper halves; what the lower halves hold does not count.
  @inline(__always)
  private var rounded: Bits {
    let bits = unsafeBitCast(self, to: Bits.self)
    let nearest = bits &+ 0x7FFF &+ (bits &>> 16 & 1)
    return nearest.replacing(with: bits | 0x40_0000, where: self .!= self)
  }

  /// Pairs of numbers rounded to bf16, those of `low` in the lower halves, as bits.
  @inline(__always)
  static func pairs(_ low: Lanes, _ high: Lanes) -> Lanes {
    unsafeBitCast(low.rounded &>> 16 | high.rounded & 0xFFFF_0000, to: Lanes.self)
  }

  /// The numbers of a register of pairs.
  @inline(__always)
  static func halves(_ pairs: UnsafePointer<UInt32>) -> (low: Lanes, high: Lanes) {
    let bits = UnsafeRawPointer(pairs).loadUnaligned(as: Bits.self)
    return (
      unsafeBitCast(bits &<< 16, to: Lanes.self), unsafeBitCast(bits & 0xFFFF_0000, to: Lanes.self)
    )
  }

  /// Writes a whole register of bits, aligned or not.
  @inline(__always)
  func store(_ target: UnsafeMutablePointer<UInt32>) {
    UnsafeMutableRawPointer(target).storeBytes(of: self, as: Lanes.self)
  }

  /// A length that is a whole number of registers.
  static func padded(_ count: Int) -> Int { (count + width - 1) / width * width }
}

extension Lanes {
  /// The least lane, by halves: `min()` takes one lane after another, from memory.
  @inline(__always)
  var least: Float {
    #if LASP_AVX512
      let (a, b) = (lowHalf, highHalf)
      let eight = a.replacing(with: b, where: b .< a)
    #else
      let eight = self
    #endif
    let (c, d) = (eight.lowHalf, eight.highHalf)
    let four = c.replacing(with: d, where: d .< c)
    return Swift.min(Swift.min(four.x, four.y), Swift.min(four.z, four.w))
  }

  /// The greatest lane, likewise.
  @inline(__always)
  var largest: Float {
    #if LASP_AVX512
      let (a, b) = (lowHalf, highHalf)
      let eight = a.replacing(with: b, where: b .> a)
    #else
      let eight = self
    #endif
    let (c, d) = (eight.lowHalf, eight.highHalf)
    let four = c.replacing(with: d, where: d .> c)
    return Swift.max(Swift.max(four.x, four.y), Swift.max(four.z, four.w))
  }
}
