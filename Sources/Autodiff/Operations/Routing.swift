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
  /// All rows: a row for each choice that an expert takes.
  package var count: Int { rows.last?.upperBound ?? 0 }

  init(
    _ rule: RoutingRule, tokens: Int, weights: Variable, places: Indices, sources: Indices,
    rows: [Range<Int>]
  ) {
    (self.rule, self.tokens, self.weights) = (rule, tokens, weights)
    (self.places, self.sources, self.rows) = (places, sources, rows)
  }

  /// Copies the weights of some rows in the order of experts.
  package func copyWeights(of places: Range<Int>, into target: UnsafeMutablePointer<Float>) {
    for place in places {
      target[place - places.lowerBound] = weights.value.pointer[Int(sources.pointer[place])]
    }
  }

  /// Puts a number of each row, in the order of experts, where the choice's weight stands.
  package func order(
    _ numbers: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>
  ) {
    if count < tokens * rule.chosen {
      target.update(repeating: 0, count: tokens * rule.chosen)
    }
    for place in 0..<count { target[Int(sources.pointer[place])] = numbers[place] }
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

extension Tensor {
  /// The places of its numbers as whole numbers of 32 bits.
  package var integers: UnsafeMutablePointer<Int32> {
    UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: Int32.self)
  }
}
