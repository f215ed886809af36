/// How many bytes the character takes that begins with a byte, in valid UTF-8.
@inline(__always)
func utf8Length(_ first: UInt8) -> Int {
  first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
}

extension UnsafeBufferPointer<UInt8> {
  /// The character that begins at a byte, in valid UTF-8.
  @inline(__always)
  func scalar(at index: Int) -> Unicode.Scalar {
    let first = UInt32(self[index])
    let value: UInt32
    switch utf8Length(self[index]) {
    case 1: value = first
    case 2: value = (first & 0x1F) << 6 | UInt32(self[index + 1] & 0x3F)
    case 3:
      value =
        (first & 0xF) << 12 | UInt32(self[index + 1] & 0x3F) << 6 | UInt32(self[index + 2] & 0x3F)
    default:
      value =
        (first & 0x7) << 18 | UInt32(self[index + 1] & 0x3F) << 12
        | UInt32(self[index + 2] & 0x3F) << 6 | UInt32(self[index + 3] & 0x3F)
    }
    return Unicode.Scalar(value) ?? "\u{FFFD}"
  }

  /// Where the character begins that ends before a byte, in valid UTF-8.
  @inline(__always)
  func start(before end: Int) -> Int {
    var index = end - 1
    while index > 0, self[index] & 0xC0 == 0x80 { index -= 1 }
    return index
  }

  /// Some of these bytes.
  @inline(__always)
  func part(_ range: Range<Int>) -> UnsafeBufferPointer<UInt8> {
    UnsafeBufferPointer(rebasing: self[range])
  }
}

extension Unicode.Scalar {
  /// Appends the character's bytes.
  @inline(__always)
  func append(to bytes: inout [UInt8]) {
    if value < 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: value))
    } else {
      bytes += UTF8.encode(self)!
    }
  }
}
