/// Pieces found as prefixes of a text.
struct PieceTrie: Sendable {
  /// Children by node and byte.
  private var children = PairTable()
  /// The value of the piece that ends at a node; −1 for none.
  private var values: [Int32] = [-1]

  init() {}

  /// Whether there is no piece.
  var isEmpty: Bool { values.count == 1 }

  /// Adds a piece; one that is there gets the new value.
  mutating func insert(_ piece: some Sequence<UInt8>, value: Int32) {
    precondition(value >= 0, "value \(value)")
    var node: UInt32 = 0
    for byte in piece {
      if let child = children.value(node, UInt32(byte)) {
        node = UInt32(truncatingIfNeeded: child)
      } else {
        children.set(node, UInt32(byte), UInt64(values.count))
        node = UInt32(values.count)
        values.append(-1)
      }
    }
    values[Int(node)] = value
  }

  /// Calls a function with the length and value of each piece that a text begins with, shortest first.
  @inline(__always)
  func forEachPrefix(
    of text: UnsafePointer<UInt8>, _ count: Int, _ body: (_ length: Int, _ value: Int32) -> Void
  ) {
    var node: UInt32 = 0
    for index in 0..<count {
      guard let child = children.value(node, UInt32(text[index])) else { return }
      node = UInt32(truncatingIfNeeded: child)
      let value = values[Int(node)]
      if value >= 0 { body(index + 1, value) }
    }
  }

  /// The longest piece that a text begins with.
  func longestPrefix(of text: UnsafePointer<UInt8>, _ count: Int) -> (length: Int, value: Int32)? {
    var longest: (Int, Int32)?
    forEachPrefix(of: text, count) { longest = ($0, $1) }
    return longest
  }
}
