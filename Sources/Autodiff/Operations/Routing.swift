import Kernels
import Tensors

/// Where tokens go: the experts that each has chosen, and the order of their rows by expert.
package final class Routing {
  package let rule: RoutingRule
  /// How many tokens there are.
  package let tokens: Int
  /// The weight of each token's choices, `[N, k]`.
  package let weights: Variable
  /// Of each choice its row among those sorted by expert, of each row its choice.
  let places, sources: Indices
  /// The rows of each expert.
  package let rows: [Range<Int>]

  init(
    _ rule: RoutingRule, tokens: Int, weights: Variable, places: Indices, sources: Indices,
    rows: [Range<Int>]
  ) {
    (self.rule, self.tokens, self.weights) = (rule, tokens, weights)
    (self.places, self.sources, self.rows) = (places, sources, rows)
  }

  /// The rows of each expert with its weight.
  package func groups(_ weights: [Parameter]) -> [RowGroup] {
    zip(weights, rows).map { RowGroup($0, rows: $1) }
  }
}

/// Whole numbers in memory of the pool.
struct Indices {
  private let buffer: Buffer

  /// Takes memory.
  init(count: Int, pool: BufferPool, kind: BufferKind = .activations) {
    buffer = Buffer(count: count, pool: pool, kind: kind)
  }

  var pointer: UnsafeMutablePointer<Int32> {
    UnsafeMutableRawPointer(buffer.pointer).assumingMemoryBound(to: Int32.self)
  }
}
