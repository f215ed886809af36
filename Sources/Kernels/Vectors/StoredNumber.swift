/// How a number is stored that kernels compute with in fp32.
protocol StoredNumber {
  /// Reads the first `count` lanes and nothing beyond them; the others are 0.
  static func lanes(_ source: UnsafePointer<Self>, count: Int) -> Lanes
  /// Writes the first `count` lanes and nothing beyond them.
  static func store(_ lanes: Lanes, _ target: UnsafeMutablePointer<Self>, count: Int)
}

extension Float: StoredNumber {
  @inline(__always)
  static func lanes(_ source: UnsafePointer<Float>, count: Int) -> Lanes {
    Lanes.load(source, count: count)
  }

  @inline(__always)
  static func store(_ lanes: Lanes, _ target: UnsafeMutablePointer<Float>, count: Int) {
    lanes.store(target, count: count)
  }
}

/// The bits of a number in bf16; written are the nearest, ties to even, and what is not a number stays none.
extension UInt16: StoredNumber {
  @inline(__always)
  static func lanes(_ source: UnsafePointer<UInt16>, count: Int) -> Lanes {
    var halves = Lanes.Halves()
    if count == Lanes.width {
      halves = UnsafeRawPointer(source).loadUnaligned(as: Lanes.Halves.self)
    } else {
      for lane in 0..<count { halves[lane] = source[lane] }
    }
    return Lanes(bitsOfBFloat16: halves)
  }

  @inline(__always)
  static func store(_ lanes: Lanes, _ target: UnsafeMutablePointer<UInt16>, count: Int) {
    let halves = lanes.bitsOfBFloat16
    if count == Lanes.width {
      UnsafeMutableRawPointer(target).storeBytes(of: halves, as: Lanes.Halves.self)
    } else {
      for lane in 0..<count { target[lane] = halves[lane] }
    }
  }
}
