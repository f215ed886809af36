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
  /// The rows of each expert, and after them of what takes all tokens where there is something.
  package let rows: [Range<Int>]
  /// All rows: a row for each choice that an expert takes.
  package var count: Int { rows.last?.upperBound ?? 0 }

  /// How many rows a token has: its choices, and one more where something takes all tokens.
  package let rowsPerToken: Int

  init(
    _ rule: RoutingRule, tokens: Int, weights: Variable, places: Indices, sources: Indices,
    rows: [Range<Int>], takesAll: Bool = false
  ) {
    (self.rule, self.tokens, self.weights) = (rule, tokens, weights)
    (self.places, self.sources, self.rows) = (places, sources, rows)
    rowsPerToken = rule.chosen + (takesAll ? 1 : 0)
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

  /// The same with rows of all tokens behind those of the experts, such as for a memory that all share; the row of a token
  /// there has no weight.
  package func takingAll(in workspace: Workspace) -> Routing {
    precondition(rowsPerToken == rule.chosen, "something takes all tokens already")
    let (tokens, chosen) = (tokens, rule.chosen)
    let all = chosen + 1
    let (newPlaces, newSources) = (
      Indices(count: tokens * all, pool: workspace.pool),
      Indices(count: tokens * all, pool: workspace.pool)
    )
    workspace.compute(.normsAndGates) {
      let (from, to) = (places.pointer, newPlaces.pointer)
      for token in 0..<tokens {
        for j in 0..<chosen { to[token * all + j] = from[token * chosen + j] }
        to[token * all + chosen] = Int32(tokens * chosen + token)
        newSources.pointer[tokens * chosen + token] = Int32(token * all + chosen)
      }
      for row in 0..<tokens * chosen {
        let (token, j) = Int(sources.pointer[row]).quotientAndRemainder(dividingBy: chosen)
        newSources.pointer[row] = Int32(token * all + j)
      }
    }
    return Routing(
      rule, tokens: tokens, weights: weights, places: newPlaces, sources: newSources,
      rows: rows + [tokens * chosen..<tokens * all], takesAll: true)
  }

  /// The token of a row.
  package func token(ofRow row: Int) -> Int { Int(sources.pointer[row]) / rowsPerToken }

  /// The rows of each expert with its weight.
  package func groups(_ weights: [Parameter]) -> [RowGroup] {
    zip(weights, rows).map { RowGroup($0, rows: $1) }
  }
}

/// Whole numbers in memory of the pool.
struct Indices {
  let count: Int
  private let buffer: Buffer

  /// Takes memory.
  init(count: Int, pool: BufferPool, kind: BufferKind = .activations) {
    self.count = count
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
