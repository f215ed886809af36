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
package struct AdamW: UpdateRule, Equatable {
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

  package var stateNames: [String] { ["first_moment", "second_moment"] }

  /// Updates a range in one pass over its memory.
  ///
  /// The result of an element does not depend on the range or on the number of threads.
  package func update(_ slice: UpdateSlice, _ step: UpdateStep, team: ThreadTeam) -> Bool {
    let scale = finite(step.gradientScale)
    return slice.pieces(of: step.decay, team: team) { offset, count, decay in
      pass(
        slice, offset: offset, count: count, step: step.number,
        learningRate: step.learningRate, decay: decay, gradientScale: scale)
    }
  }

  private func pass(
    _ slice: UpdateSlice, offset: Int, count: Int, step: Int, learningRate: Double, decay: Double,
    gradientScale scale: Float
  ) {
    let (w, g) = (slice.weights + offset, slice.gradients + offset)
    let (m, v) = (slice.state[0] + offset, slice.state[1] + offset)
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
