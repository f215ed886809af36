import Tensors

/// The sign of a mean of momentum and gradient, with decoupled weight decay, on a range of the index space.
///
/// Concretely, with the gradient already times its scale:
/// `w ← (1 − η d) w − η · sign(β₁ m + (1 − β₁) g)`, then `m ← β₂ m + (1 − β₂) g`. The sign of 0 is 0.
///
/// Each number moves by η in a step, so learning rates are three to ten times below AdamW's, and decays as much above.
///
/// - Source: Chen et al., "Symbolic Discovery of Optimization Algorithms" (arXiv 2302.06675), Algorithm 2.
package struct Lion: UpdateRule, Equatable {
  /// β₁, how much of the momentum is in the direction of a step.
  package let beta1: Double
  /// β₂, how much of the momentum stays in a step.
  package let beta2: Double

  package init(beta1: Double = 0.9, beta2: Double = 0.99) {
    precondition((0..<1).contains(beta1) && (0..<1).contains(beta2), "betas \(beta1), \(beta2)")
    (self.beta1, self.beta2) = (beta1, beta2)
  }

  package var stateNames: [String] { ["momentum"] }

  /// Updates a range in one pass over its memory.
  ///
  /// The result of an element does not depend on the range or on the number of threads.
  package func update(_ slice: UpdateSlice, _ step: UpdateStep, team: ThreadTeam) -> Bool {
    let (b1, b2) = (Float(beta1), Float(beta2))
    let (a1, a2) = (Float(1 - beta1), Float(1 - beta2))
    let scale = finite(step.gradientScale)
    let rate = finite(-step.learningRate)
    return slice.pieces(of: step.decay, team: team) { offset, count, decay in
      let keep = finite(1 - step.learningRate * decay)
      let (w, g, m) = (slice.weights + offset, slice.gradients + offset, slice.state[0] + offset)
      for i in 0..<count {
        let gradient = g[i] * scale
        let direction = (a1 * gradient).addingProduct(b1, m[i])
        m[i] = (a2 * gradient).addingProduct(b2, m[i])
        let move: Float = direction > 0 ? rate : direction < 0 ? -rate : 0
        w[i] = move.addingProduct(keep, w[i])
      }
    }
  }
}
