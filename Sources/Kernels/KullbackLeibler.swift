import Tensors

/// How far a student's distribution is from a teacher's, of rows of logits, in nats, and its gradient.
///
/// Concretely, with the teacher's `p = softmax(u/τ)` and the student's `q = softmax(z/τ)`:
/// `KL(p ‖ q) = Σ p (log p − log q)` and `∂/∂z = (q − p)/τ`. Both are exactly 0 where u and z are the same.
///
/// - Source: Hinton et al., "Distilling the Knowledge in a Neural Network" (arXiv 1503.02531), section 2.
package enum KullbackLeibler {
  /// Numbers that are worked on at once, so that exponentials vectorise.
  private static let block = 256

  /// One row's divergence.
  ///
  /// - Parameters:
  ///   - student: z, `count` logits.
  ///   - teacher: u, as many; with a `factor` they are overwritten by `factor · (q − p)`.
  ///   - temperature: τ.
  package static func row(
    _ student: UnsafePointer<Float>, _ teacher: UnsafeMutablePointer<Float>, count: Int,
    temperature: Float, gradient factor: Float?
  ) -> Float {
    let (z, u, inverse) = (student, teacher, 1 / temperature)
    let (mostZ, mostU) = (
      Reduction.extremes(z, count).largest, Reduction.extremes(u, count).largest
    )
    return withUnsafeTemporaryAllocation(of: Float.self, capacity: block) { numbers in
      let numbers = numbers.baseAddress!
      let logZ = VectorMath.log(exponentials(z, count, mostZ, inverse, numbers))
      let logU = VectorMath.log(exponentials(u, count, mostU, inverse, numbers))
      var sum: Float = 0
      for start in stride(from: 0, to: count, by: block) {
        let (z, u, length) = (z + start, u + start, min(block, count - start))
        for i in 0..<length {
          let logQ = (z[i] - mostZ) * inverse - logZ
          let logP = (u[i] - mostU) * inverse - logU
          numbers[i] = VectorMath.exp(logP) * (logP - logQ)
        }
        sum += CrossEntropy.total(numbers, length)
        guard let factor else { continue }
        // A loop of its own, since one that writes to two places is not made of vector instructions.
        for i in 0..<length {
          let logQ = (z[i] - mostZ) * inverse - logZ
          let logP = (u[i] - mostU) * inverse - logU
          u[i] = factor * (VectorMath.exp(logQ) - VectorMath.exp(logP))
        }
      }
      return sum
    }
  }

  /// `Σ exp((x_i − most) · inverse)`.
  private static func exponentials(
    _ x: UnsafePointer<Float>, _ count: Int, _ most: Float, _ inverse: Float,
    _ numbers: UnsafeMutablePointer<Float>
  ) -> Float {
    var sum: Float = 0
    for start in stride(from: 0, to: count, by: block) {
      let (x, length) = (x + start, min(block, count - start))
      for i in 0..<length { numbers[i] = VectorMath.exp((x[i] - most) * inverse) }
      sum += CrossEntropy.total(numbers, length)
    }
    return sum
  }
}
