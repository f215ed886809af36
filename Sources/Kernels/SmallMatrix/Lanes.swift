#if LASP_AVX512
  internal import _Builtin_intrinsics.intel

  /// One vector register of floats.
  typealias Lanes = SIMD16<Float>
#else
  /// One vector register of floats.
  typealias Lanes = SIMD8<Float>
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
  #endif

  /// A length that is a whole number of registers.
  static func padded(_ count: Int) -> Int { (count + width - 1) / width * width }
}
