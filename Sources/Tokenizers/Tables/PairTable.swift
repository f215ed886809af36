/// Values of pairs of numbers, such as the merges of two symbols.
struct PairTable: Sendable {
  private var keys: [UInt64]
  private var values: [UInt64]
  private var count = 0

  /// A key that no pair of numbers below 2³² − 1 has.
  private static let free = UInt64.max

  /// Makes an empty table.
  ///
  /// - Parameter capacity: How many pairs it will hold; more are fine.
  init(capacity: Int = 0) {
    var size = 16
    while size < capacity * 2 { size *= 2 }
    keys = Array(repeating: Self.free, count: size)
    values = Array(repeating: 0, count: size)
  }

  /// The value of a pair; nil when it has none.
  @inline(__always)
  func value(_ left: UInt32, _ right: UInt32) -> UInt64? {
    let key = UInt64(left) << 32 | UInt64(right)
    let slot = slot(of: key)
    return keys[slot] == key ? values[slot] : nil
  }

  /// Gives a pair a value, in place of the one it had.
  mutating func set(_ left: UInt32, _ right: UInt32, _ value: UInt64) {
    let key = UInt64(left) << 32 | UInt64(right)
    precondition(key != Self.free, "no pair of numbers")
    let slot = slot(of: key)
    if keys[slot] != key { count += 1 }
    keys[slot] = key
    values[slot] = value
    guard count * 2 > keys.count else { return }
    var larger = PairTable(capacity: keys.count)
    for (key, value) in zip(keys, values) where key != Self.free {
      larger.set(UInt32(key >> 32), UInt32(truncatingIfNeeded: key), value)
    }
    self = larger
  }

  @inline(__always)
  private func slot(of key: UInt64) -> Int {
    let mask = keys.count - 1
    var slot = Int(truncatingIfNeeded: mixed(key)) & mask
    while keys[slot] != key && keys[slot] != Self.free { slot = (slot + 1) & mask }
    return slot
  }
}
