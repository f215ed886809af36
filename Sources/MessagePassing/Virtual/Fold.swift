/// How a received partial result is combined with one's own.
struct Fold: Equatable {
  /// The type of the elements.
  enum Element: Equatable { case float, double }

  let operation: ReduceOperation
  let element: Element
  /// Whether the received part stands before one's own.
  let theirsFirst: Bool

  /// Replaces `mine` by the combination, element by element.
  func combine(_ theirs: UnsafeRawBufferPointer, into mine: UnsafeMutableRawBufferPointer) {
    switch element {
    case .float: combine(theirs, mine, Float.self)
    case .double: combine(theirs, mine, Double.self)
    }
  }

  private func combine<Number: FloatingPoint>(
    _ theirs: UnsafeRawBufferPointer, _ mine: UnsafeMutableRawBufferPointer, _: Number.Type
  ) {
    guard let other = theirs.assumingMemoryBound(to: Number.self).baseAddress,
      let own = mine.assumingMemoryBound(to: Number.self).baseAddress
    else { return }
    let count = mine.count / MemoryLayout<Number>.stride
    switch (operation, theirsFirst) {
    case (.sum, _): for i in 0..<count { own[i] += other[i] }
    // Where one is no number, or both are zeros of different sign, the order decides.
    case (.minimum, false): for i in 0..<count { own[i] = min(own[i], other[i]) }
    case (.minimum, true): for i in 0..<count { own[i] = min(other[i], own[i]) }
    case (.maximum, false): for i in 0..<count { own[i] = max(own[i], other[i]) }
    case (.maximum, true): for i in 0..<count { own[i] = max(other[i], own[i]) }
    }
  }
}
