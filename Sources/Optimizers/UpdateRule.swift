import Tensors

/// How gradients become new weights: what a rule keeps for each parameter, and one update of a slice of them.
package protocol UpdateRule: Sendable {
  /// Names of its state, as they stand in checkpoints. Each is a number for each number of a parameter, 0 before
  /// the first step.
  var stateNames: [String] { get }

  /// Whether a slice must be a whole matrix, and not any part of the index space.
  var needsWholeMatrices: Bool { get }

  /// Numbers of scratch that an update of a matrix works in.
  func scratchCount(rows: Int, columns: Int) -> Int

  /// Updates a slice. Nothing may depend on how the index space is cut into slices.
  ///
  /// - Parameter team: The threads that share the work.
  /// - Returns: Whether the weights and the state are finite now.
  @discardableResult
  func update(_ slice: UpdateSlice, _ step: UpdateStep, team: ThreadTeam) -> Bool
}

extension UpdateRule {
  package var needsWholeMatrices: Bool { false }
  package func scratchCount(rows: Int, columns: Int) -> Int { 0 }
}

/// What is the same for all slices of a step.
package struct UpdateStep: Sendable {
  /// The step, from 1.
  package let number: Int
  /// η.
  package let learningRate: Double
  /// d of each parameter.
  package let decay: WeightDecay
  /// What gradients are multiplied by first, such as a clipping factor.
  package let gradientScale: Double

  package init(
    number: Int, learningRate: Double, decay: WeightDecay, gradientScale: Double = 1
  ) {
    precondition(number >= 1, "steps are counted from 1, not \(number)")
    (self.number, self.learningRate) = (number, learningRate)
    (self.decay, self.gradientScale) = (decay, gradientScale)
  }
}

/// What an update works on: a range of the index space, and where its numbers lie.
///
/// Each pointer is to the element `range.lowerBound`.
///
/// Unchecked: each thread updates a range of its own.
package struct UpdateSlice: @unchecked Sendable {
  /// Which parameters.
  package let range: Range<Int>
  /// Their values, which the update changes.
  package let weights: UnsafeMutablePointer<Float>
  /// Their gradients.
  package let gradients: UnsafePointer<Float>
  /// The rule's state, in the order of its names.
  package let state: [UnsafeMutablePointer<Float>]
  /// Rows and columns, where the rule needs whole matrices.
  package let matrix: (rows: Int, columns: Int)?
  /// Scratch, as much as the rule asks for; nil where it asks for none.
  package let scratch: UnsafeMutablePointer<Float>?

  /// Names the memory of a range.
  package init(
    range: Range<Int>, weights: UnsafeMutablePointer<Float>, gradients: UnsafePointer<Float>,
    state: [UnsafeMutablePointer<Float>], matrix: (rows: Int, columns: Int)? = nil,
    scratch: UnsafeMutablePointer<Float>? = nil
  ) {
    (self.range, self.weights, self.gradients) = (range, weights, gradients)
    (self.state, self.matrix, self.scratch) = (state, matrix, scratch)
  }

  /// Numbers that are worked on at once: their weights, gradients and states stay in a core's cache until they are checked.
  private static let block = 1 << 14

  /// Works on the slice by threads, in pieces of one decay each, and checks what is there afterwards.
  ///
  /// - Parameter body: Gets the first number of a piece, counted from the slice's, how many there are, and their
  ///   decay.
  /// - Returns: Whether the weights and the state are finite now.
  func pieces(
    of decay: WeightDecay, team: ThreadTeam,
    _ body: @Sendable (_ offset: Int, _ count: Int, _ decay: Double) -> Void
  ) -> Bool {
    let first = range.lowerBound
    return withUnsafeTemporaryAllocation(of: Bool.self, capacity: team.size) { results in
      results.initialize(repeating: true)
      // Each thread writes a result of its own.
      nonisolated(unsafe) let areFinite = results.baseAddress!
      team.parallel(range.count, grain: Self.block) { thread, part in
        for start in stride(from: part.lowerBound, to: part.upperBound, by: Self.block) {
          let count = min(Self.block, part.upperBound - start)
          for (range, factor) in decay.pieces(of: first + start..<first + start + count) {
            body(range.lowerBound - first, range.count, factor)
          }
          areFinite[thread] =
            areFinite[thread] && FiniteNumbers.fill(weights + start, count: count)
            && state.allSatisfy { FiniteNumbers.fill($0 + start, count: count) }
        }
      }
      return results.allSatisfy { $0 }
    }
  }
}

/// The nearest finite Float: an infinite factor would make NaN of what is 0.
func finite(_ x: Double) -> Float {
  let limit = Double(Float.greatestFiniteMagnitude)
  return Float(min(max(x, -limit), limit))
}
