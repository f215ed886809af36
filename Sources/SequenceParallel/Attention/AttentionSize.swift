/// The size of one layer's softmax attention, for the formula that counts its operations.
package struct AttentionSize: Sendable {
  /// Heads of queries, and numbers of each.
  package let heads, dimension: Int
  /// The most keys that a query sees, itself included; nil for all before it.
  package let window: Int?

  package init(heads: Int, dimension: Int, window: Int?) {
    (self.heads, self.dimension, self.window) = (heads, dimension, window)
  }

  /// Operations of a pair of a query and a key, for each number of a head: two products forward, four backward.
  static let operationsPerPair = 12.0

  /// Operations of a sequence that is one document, forward and backward.
  ///
  /// Concretely: `12 H d Σ_t min(t, window)` for t from 1 to `length`.
  package func operations(length: Int) -> Double {
    let seen = Double(min(length, window ?? length))
    let pairs = seen * (seen + 1) / 2 + (Double(length) - seen) * seen
    return Self.operationsPerPair * Double(heads * dimension) * pairs
  }
}
