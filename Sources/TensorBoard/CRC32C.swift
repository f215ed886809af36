/// The cyclic redundancy check by Castagnoli's polynomial, as records of event files carry it.
///
/// - Source: RFC 3720, appendix B.4.
enum CRC32C {
  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { value, _ in
      value & 1 == 1 ? value >> 1 ^ 0x82f6_3b78 : value >> 1
    }
  }

  /// The check of some bytes.
  static func check(_ bytes: some Sequence<UInt8>) -> UInt32 {
    ~bytes.reduce(~0) { value, byte in
      value >> 8 ^ table[Int(UInt8(truncatingIfNeeded: value) ^ byte)]
    }
  }

  /// The check as it stands in a record: one of data that hold checks themselves would be weak.
  static func masked(_ bytes: some Sequence<UInt8>) -> UInt32 {
    let value = check(bytes)
    return (value >> 15 | value << 17) &+ 0xa282_ead8
  }
}
