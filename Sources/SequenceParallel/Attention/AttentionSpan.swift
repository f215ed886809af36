/// Which tokens of its document a query of windowed attention sees.
package enum AttentionSpan: Sendable, Hashable {
  /// The last `w`, itself included.
  case sliding(Int)
  /// Those of its own terrace and of the one before: terraces are `w` tokens each, counted from the document's start.
  case terraced(Int)

  /// `w`.
  package var width: Int {
    switch self {
    case .sliding(let width), .terraced(let width): width
    }
  }

  /// The most tokens before its own that a query sees.
  var reach: Int {
    switch self {
    case .sliding(let width): width - 1
    case .terraced(let width): 2 * width - 1
    }
  }

  /// The lowest position that the query at a position sees, in a document that starts at `start`.
  func lowest(_ position: Int, start: Int) -> Int {
    switch self {
    case .sliding(let width): max(start, position - width + 1)
    case .terraced(let width): max(start, position - width - (position - start) % width)
    }
  }

  /// How many of a document's tokens are seen by the one that comes after them.
  func seen(after tokens: Int) -> Int { tokens - lowest(tokens, start: 0) }
}
