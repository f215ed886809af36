/// Conversions between fp32 and the formats that numbers are stored in, all little endian.
///
/// Sources need no alignment.
package enum NumberFormats {
  /// fp32 numbers, copied.
  package static func read(
    float32 source: UnsafeRawPointer, count: Int, into destination: UnsafeMutablePointer<Float>
  ) {
    UnsafeMutableRawPointer(destination).copyMemory(from: source, byteCount: 4 * count)
  }

  /// bfloat16 to fp32, exact.
  package static func read(
    bfloat16 source: UnsafeRawPointer, count: Int, into destination: UnsafeMutablePointer<Float>
  ) {
    for i in 0..<count {
      let bits = source.loadUnaligned(fromByteOffset: 2 * i, as: UInt16.self)
      destination[i] = Float(bitPattern: UInt32(bits) << 16)
    }
  }

  /// IEEE half precision to fp32, exact.
  ///
  /// Concretely: the exponent and mantissa are moved to fp32's place and rescaled by 2^112, which
  /// also makes subnormal numbers right; infinities and NaNs get fp32's full exponent.
  package static func read(
    float16 source: UnsafeRawPointer, count: Int, into destination: UnsafeMutablePointer<Float>
  ) {
    let scale = Float(bitPattern: (127 + 112) << 23)
    for i in 0..<count {
      let bits = UInt32(source.loadUnaligned(fromByteOffset: 2 * i, as: UInt16.self))
      let sign = (bits & 0x8000) << 16
      let magnitude = (bits & 0x7FFF) << 13
      let finite = (Float(bitPattern: magnitude) * scale).bitPattern
      let special = magnitude | 0x7F80_0000
      destination[i] = Float(bitPattern: sign | (magnitude >= 0x0F80_0000 ? special : finite))
    }
  }

  /// fp64 to fp32, rounded to nearest.
  package static func read(
    float64 source: UnsafeRawPointer, count: Int, into destination: UnsafeMutablePointer<Float>
  ) {
    for i in 0..<count {
      destination[i] = Float(source.loadUnaligned(fromByteOffset: 8 * i, as: Double.self))
    }
  }

  /// fp32 to bfloat16, rounded to nearest, ties to even; a NaN stays a NaN.
  package static func write(
    bfloat16 destination: UnsafeMutablePointer<UInt16>, from source: UnsafePointer<Float>,
    count: Int
  ) {
    for i in 0..<count {
      let bits = source[i].bitPattern
      let rounded = (bits &+ 0x7FFF &+ ((bits >> 16) & 1)) >> 16
      let notANumber = (bits >> 16) | 0x40
      destination[i] = UInt16(
        truncatingIfNeeded: bits & 0x7FFF_FFFF > 0x7F80_0000 ? notANumber : rounded)
    }
  }
}
