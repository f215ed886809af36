/// A hash of some bytes: eight of them at a time, each by a product of 128 bits.
@inline(__always)
func byteHash(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> UInt64 {
  var hash = 0x9E37_79B9_7F4A_7C15 ^ UInt64(truncatingIfNeeded: count)
  var index = 0
  while index + 8 <= count {
    let word = UnsafeRawPointer(bytes + index).loadUnaligned(as: UInt64.self)
    hash = mixed(hash ^ word)
    index += 8
  }
  var tail: UInt64 = 0
  while index < count {
    tail = tail << 8 | UInt64(bytes[index])
    index += 1
  }
  return mixed(hash ^ tail)
}

/// A number whose every bit depends on all bits of another.
@inline(__always)
func mixed(_ value: UInt64) -> UInt64 {
  let (high, low) = (value ^ 0xD6E8_FEB8_6659_FD93).multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
  return high ^ low
}
