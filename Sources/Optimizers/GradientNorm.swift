import Tensors

/// The global L2 norm of the gradient, from sums of squares that ranks add up.
package struct GradientNorm: Sendable, Equatable {
  /// The norm; not finite when any gradient is not.
  package let value: Double

  /// Makes the norm of a whole gradient.
  ///
  /// - Parameter sumOfSquares: Of all ranges together.
  package init(sumOfSquares: Double) { value = sumOfSquares.squareRoot() }

  /// Whether every gradient is a number.
  package var isFinite: Bool { value.isFinite }

  /// What gradients must be multiplied by so that the norm is at most `limit`.
  ///
  /// - Parameter limit: Greatest norm; 0 for no limit.
  package func clippingScale(limit: Double) -> Double {
    limit > 0 && value > limit ? limit / value : 1
  }

  /// `Σ g²` of a range, in Double: no overflow, and the same for a given number of threads.
  ///
  /// - Parameters:
  ///   - gradients: The range's first number.
  ///   - count: How many.
  ///   - team: The threads that share the work.
  package static func sumOfSquares(
    _ gradients: UnsafePointer<Float>, count: Int, team: ThreadTeam
  ) -> Double {
    withUnsafeTemporaryAllocation(of: Double.self, capacity: team.size) { sums in
      sums.initialize(repeating: 0)
      // All threads read the gradients, and each writes a sum of its own.
      nonisolated(unsafe) let (sums, gradients) = (sums.baseAddress!, gradients)
      team.parallel(count, grain: 1 << 16) { thread, part in
        sums[thread] = sumOfSquares(gradients + part.lowerBound, count: part.count)
      }
      return (0..<team.size).reduce(0) { $0 + sums[$1] }
    }
  }

  /// Four vectors of sums at once; numbers become Doubles in a loop of their own, which vectorises.
  private static func sumOfSquares(_ g: UnsafePointer<Float>, count: Int) -> Double {
    withUnsafeTemporaryAllocation(of: SIMD8<Double>.self, capacity: 64) { buffer in
      let vectors = buffer.baseAddress!
      let numbers = UnsafeMutableRawPointer(vectors).assumingMemoryBound(to: Double.self)
      var (s0, s1, s2, s3) = (
        SIMD8<Double>(), SIMD8<Double>(), SIMD8<Double>(), SIMD8<Double>()
      )
      var start = 0
      while start < count {
        let length = min(512, count - start)
        let block = g + start
        for i in 0..<length { numbers[i] = Double(block[i]) }
        for i in length..<512 { numbers[i] = 0 }
        for i in stride(from: 0, to: 64, by: 4) {
          s0 = s0.addingProduct(vectors[i], vectors[i])
          s1 = s1.addingProduct(vectors[i + 1], vectors[i + 1])
          s2 = s2.addingProduct(vectors[i + 2], vectors[i + 2])
          s3 = s3.addingProduct(vectors[i + 3], vectors[i + 3])
        }
        start += length
      }
      return ((s0 + s1) + (s2 + s3)).sum()
    }
  }
}
