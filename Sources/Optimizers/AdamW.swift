import Tensors

/// Adam with decoupled weight decay, on a range of the parameters' index space.
///
/// Concretely, for step t from 1, with the gradient already times its scale:
/// `m ← β₁ m + (1 − β₁) g`, `v ← β₂ v + (1 − β₂) g²`,
/// `w ← (1 − η d) w − η · m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + ε)`.
///
/// In fp32 a square below 2⁻¹²⁶ loses its digits or is 0. `√v` therefore counts as at least 2⁻⁶³, so that an element
/// without a gradient, or with one too small to be squared, is never divided by 0 or by an ε far below it: with
/// any ε, one that fp32 cannot hold included, its update is 0, or smaller than the rule's.
///
/// - Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (arXiv 1711.05101),
///   Algorithm 2.
package struct AdamW: Sendable, Equatable {
  /// β₁, how much of the first moment stays in a step.
  package let beta1: Double
  /// β₂, how much of the second moment stays in a step.
  package let beta2: Double
  /// ε, added to the root of the second moment.
  package let epsilon: Double

  package init(beta1: Double = 0.9, beta2: Double = 0.95, epsilon: Double = 1e-8) {
    precondition((0..<1).contains(beta1) && (0..<1).contains(beta2), "betas \(beta1), \(beta2)")
    precondition(epsilon > 0, "epsilon \(epsilon)")
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
  }

  /// What an update works on: a range of the index space, and where its numbers lie.
  ///
  /// Each pointer is to the element `range.lowerBound`. Both moments are zero before the first step.
  ///
  /// Unchecked: each thread updates a range of its own.
  package struct Slice: @unchecked Sendable {
    /// Which parameters.
    package let range: Range<Int>
    /// Their values, which the update changes.
    package let weights: UnsafeMutablePointer<Float>
    /// Their gradients.
    package let gradients: UnsafePointer<Float>
    /// The first moment, m: the running mean of gradients.
    package let firstMoment: UnsafeMutablePointer<Float>
    /// The second moment, v: the running mean of their squares.
    package let secondMoment: UnsafeMutablePointer<Float>

    /// Names the memory of a range.
    package init(
      range: Range<Int>, weights: UnsafeMutablePointer<Float>, gradients: UnsafePointer<Float>,
      firstMoment: UnsafeMutablePointer<Float>, secondMoment: UnsafeMutablePointer<Float>
    ) {
      self.range = range
      self.weights = weights
      self.gradients = gradients
      self.firstMoment = firstMoment
      self.secondMoment = secondMoment
    }
  }

  /// Updates a range in one pass over its memory.
  ///
  /// The result of an element does not depend on the range or on the number of threads.
  ///
  /// - Parameters:
  ///   - slice: The range and its memory.
  ///   - step: The step, from 1.
  ///   - learningRate: η.
  ///   - decay: d of each parameter.
  ///   - gradientScale: What gradients are multiplied by first, such as a clipping factor.
  ///   - team: The threads that share the work.
  package func update(
    _ slice: Slice, step: Int, learningRate: Double, decay: WeightDecay, gradientScale: Double = 1,
    team: ThreadTeam
  ) {
    precondition(step >= 1, "AdamW counts steps from 1, not \(step)")
    let first = slice.range.lowerBound
    team.parallel(slice.range.count, grain: 1 << 14) { part in
      let part = first + part.lowerBound..<first + part.upperBound
      for (range, factor) in decay.pieces(of: part) {
        pass(
          slice, offset: range.lowerBound - first, count: range.count, step: step,
          learningRate: learningRate, decay: factor, gradientScale: finite(gradientScale))
      }
    }
  }

  private func pass(
    _ slice: Slice, offset: Int, count: Int, step: Int, learningRate: Double, decay: Double,
    gradientScale scale: Float
  ) {
    let (w, g) = (slice.weights + offset, slice.gradients + offset)
    let (m, v) = (slice.firstMoment + offset, slice.secondMoment + offset)
    let (b1, b2) = (Float(beta1), Float(beta2))
    let (a1, a2) = (Float(1 - beta1), Float(1 - beta2))
    let keep = finite(1 - learningRate * decay)
    let rate = finite(-learningRate / (1 - power(beta1, step)))
    let correction = finite(1 / (1 - power(beta2, step)).squareRoot())
    let epsilon = finite(epsilon)
    let leastRoot = Float.leastNormalMagnitude.squareRoot()
    for i in 0..<count {
      let gradient = g[i] * scale
      let first = (a1 * gradient).addingProduct(b1, m[i])
      let second = (a2 * gradient * gradient).addingProduct(b2, v[i])
      m[i] = first
      v[i] = second
      let root = second.squareRoot()
      let divisor = epsilon.addingProduct(root < leastRoot ? leastRoot : root, correction)
      w[i] = (rate * first / divisor).addingProduct(keep, w[i])
    }
  }

  /// The nearest finite Float: an infinite factor would make NaN of what is 0.
  private func finite(_ x: Double) -> Float {
    let limit = Double(Float.greatestFiniteMagnitude)
    return Float(min(max(x, -limit), limit))
  }

  /// `base` to a whole power, by squaring.
  private func power(_ base: Double, _ exponent: Int) -> Double {
    var (result, factor, exponent) = (1.0, base, exponent)
    while exponent > 0 {
      if exponent & 1 == 1 { result *= factor }
      factor *= factor
      exponent >>= 1
    }
    return result
  }
}
