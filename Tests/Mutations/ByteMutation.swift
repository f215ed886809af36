/// Damage to a file of any form.
enum ByteMutation: CaseIterable {
  case flip, replace, integer, cut, delete, duplicate, insert, zero, swap, append, empty

  /// Integers at which sums and products overflow, and those next to none.
  private static let integers: [Int64] = [
    0, 1, -1, -5, 2, 255, 256, 65535, 65536, 1 << 20, 1 << 31, (1 << 31) - 1, -(1 << 31), 1 << 32,
    1 << 40,
    1 << 62, .max, .max - 1, .max / 8, .min, .min + 1,
  ]

  func apply(to bytes: inout [UInt8], _ draws: inout Draws) {
    let count = bytes.count
    switch self {
    case .empty where draws.below(20) == 0: bytes = []
    case .append:
      bytes += (0..<draws.below(40)).map { _ in UInt8(truncatingIfNeeded: draws.next()) }
    case _ where count == 0: break
    case .flip: bytes[draws.below(count)] ^= 1 << draws.below(8)
    case .replace, .empty: bytes[draws.below(count)] = UInt8(truncatingIfNeeded: draws.next())
    case .integer: putInteger(into: &bytes, &draws)
    case .cut:
      bytes.removeLast(draws.below(2) == 0 ? draws.below(count) : min(count, draws.below(9)))
    case .delete: bytes.removeSubrange(draws.span(in: count, most: 64))
    case .duplicate:
      let span = Array(bytes[draws.span(in: count, most: 256)])
      let times = draws.below(10) == 0 ? 200 : 1 + draws.below(3)
      bytes.insert(
        contentsOf: repeatElement(span, count: times).joined(), at: draws.below(count + 1))
    case .insert:
      let content = (0..<draws.below(16)).map { _ in UInt8(truncatingIfNeeded: draws.next()) }
      bytes.insert(contentsOf: content, at: draws.below(count + 1))
    case .zero: for place in draws.span(in: count, most: 64) { bytes[place] = 0 }
    case .swap: bytes.swapAt(draws.below(count), draws.below(count))
    }
  }

  /// Overwrites one to eight bytes, near the file's start in half of the cases, where headers stand.
  private func putInteger(into bytes: inout [UInt8], _ draws: inout Draws) {
    let value = UInt64(bitPattern: draws.one(of: Self.integers))
    let width = draws.one(of: [1, 2, 4, 8])
    let place = draws.below(draws.below(2) == 0 ? min(bytes.count, 64) : bytes.count)
    for byte in 0..<width where place + byte < bytes.count {
      bytes[place + byte] = UInt8(truncatingIfNeeded: value >> UInt64(8 * byte))
    }
  }
}
