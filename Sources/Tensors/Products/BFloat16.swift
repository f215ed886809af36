/// Numbers of 16 bits with the exponent of fp32 and 8 bits of precision.
package enum BFloat16 {
  /// The nearest bf16 numbers, ties to even; what is not a number stays none.
  package static func round(
    _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<UInt16>, count: Int
  ) {
    for i in 0..<count { y[i] = rounded(x[i]) }
  }

  /// The numbers in fp32.
  package static func widen(
    _ x: UnsafePointer<UInt16>, into y: UnsafeMutablePointer<Float>, count: Int
  ) {
    for i in 0..<count { y[i] = Float(bitPattern: UInt32(x[i]) << 16) }
  }

  /// Replaces numbers by the nearest that bf16 has.
  package static func round(
    _ x: UnsafePointer<Float>, keepingWidth y: UnsafeMutablePointer<Float>, count: Int
  ) {
    for i in 0..<count { y[i] = Float(bitPattern: UInt32(rounded(x[i])) << 16) }
  }

  /// Without a branch, so that loops over it become vector instructions.
  @inline(__always)
  package static func rounded(_ number: Float) -> UInt16 {
    let bits = number.bitPattern
    let nearest = (bits &+ 0x7FFF &+ (bits &>> 16 & 1)) &>> 16
    let quiet = bits &>> 16 | 0x40
    return UInt16(
      truncatingIfNeeded: bits & 0x7FFF_FFFF > 0x7F80_0000 ? quiet : nearest)
  }
}
