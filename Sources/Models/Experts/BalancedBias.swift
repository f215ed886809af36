import Tensors

/// A bias of experts' scores that makes their use equal without a loss: it is added for the choice alone, and moved after each
/// step.
///
/// Concretely: `b_e ← b_e + u sign(mean count − count_e)`, with the counts of one layer's choices over all tokens of the step. It has no
/// gradient and no decay.
///
/// - Source: Wang et al., "Auxiliary-Loss-Free Load Balancing" (arXiv 2408.15664), Algorithm 1.
package struct BalancedBias: Sendable {
  /// The router, shape `[E, D]`, by which its choices are told from those of others.
  package let router: Parameter
  /// Shape `[E]`.
  package let bias: Parameter
  /// u.
  package let rate: Double

  package init(router: Parameter, bias: Parameter, rate: Double) {
    (self.router, self.bias, self.rate) = (router, bias, rate)
  }

  /// How far each expert's bias moves.
  ///
  /// - Parameter counts: The choices of each expert.
  package func moves(counts: some Collection<Double>) -> [Float] {
    let mean = counts.reduce(0, +) / Double(max(counts.count, 1))
    return counts.map { Float($0 < mean ? rate : $0 > mean ? -rate : 0) }
  }
}
