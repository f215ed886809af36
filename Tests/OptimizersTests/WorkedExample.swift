import Tensors

@testable import Optimizers

// The worked example of Docs/Architecture.md: what stands between the marks is what stands there.

// example: Sources/Optimizers/SignMomentum.swift
/// Momentum whose sign is followed: `m ← β m + (1 − β) g`, `w ← (1 − η d) w − η sign(m)`.
///
/// - Source: Bernstein et al., "signSGD" (arXiv 1802.04434), Algorithm 2.
package struct SignMomentum: UpdateRule {
  /// β, how much of the momentum stays in a step.
  package let beta: Double

  package init(beta: Double = 0.9) { self.beta = beta }

  package var stateNames: [String] { ["momentum"] }

  package func update(_ slice: UpdateSlice, _ step: UpdateStep, team: ThreadTeam) -> Bool {
    let (keep, add) = (Float(beta), Float(1 - beta))
    let (rate, scale) = (finite(step.learningRate), finite(step.gradientScale))
    return slice.pieces(of: step.decay, team: team) { offset, count, decay in
      let (w, g) = (slice.weights + offset, slice.gradients + offset)
      let m = slice.state[0] + offset
      let shrink = finite(1 - step.learningRate * decay)
      for i in 0..<count {
        m[i] = keep * m[i] + add * scale * g[i]
        let sign: Float = m[i] > 0 ? 1 : m[i] < 0 ? -1 : 0
        w[i] = shrink * w[i] - rate * sign
      }
    }
  }
}
// example: end
