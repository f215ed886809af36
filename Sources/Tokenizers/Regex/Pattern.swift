import Glibc

/// What normalizers and pre-tokenizers look for.
enum Pattern: Sendable {
  /// A text, which is not empty.
  case literal([UInt8])
  /// What a regular expression matches.
  case expression(RegularExpression)

  /// Calls a function with the range of each match, from left to right.
  @inline(__always)
  func forEachMatch(
    in text: UnsafeBufferPointer<UInt8>, _ match: OpaquePointer, _ body: (Range<Int>) -> Void
  ) {
    switch self {
    case .expression(let expression): expression.forEachMatch(in: text, match, body)
    case .literal(let literal):
      guard let base = text.baseAddress else { return }
      var start = 0
      while start + literal.count <= text.count,
        let found = memchr(
          base + start, Int32(literal[0]), text.count - start - literal.count + 1)
      {
        let place = UnsafeRawPointer(found) - UnsafeRawPointer(base)
        if memcmp(found, literal, literal.count) == 0 {
          body(place..<place + literal.count)
          start = place + literal.count
        } else {
          start = place + 1
        }
      }
    }
  }
}
