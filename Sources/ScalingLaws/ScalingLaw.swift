import Foundation

/// How the loss falls with parameters and tokens: `L(N, D) = E + A / N^α + B / D^β`.
///
/// - Source: Hoffmann et al., "Training Compute-Optimal Large Language Models" (arXiv 2203.15556), equation 10.
package struct ScalingLaw: Sendable, Equatable {
  /// E: what no model of the family gets below, in nats a token.
  package let irreducible: Double
  /// log A and log B: the constants themselves may be too large for sight, as they are the terms of one parameter, one token.
  package let logA, logB: Double
  /// α and β.
  package let alpha, beta: Double

  package init(irreducible: Double, logA: Double, logB: Double, alpha: Double, beta: Double) {
    (self.irreducible, self.logA, self.logB) = (irreducible, logA, logB)
    (self.alpha, self.beta) = (alpha, beta)
  }

  /// What is lost by too few parameters, `A / N^α`.
  package func shortage(parameters: Double) -> Double { exp(logA - alpha * log(parameters)) }

  /// What is lost by too few tokens, `B / D^β`.
  package func shortage(tokens: Double) -> Double { exp(logB - beta * log(tokens)) }

  /// The loss of a model of N parameters after D tokens, in nats a token.
  package func loss(parameters: Double, tokens: Double) -> Double {
    irreducible + shortage(parameters: parameters) + shortage(tokens: tokens)
  }

  /// The parameters and tokens with the least loss that a number of operations `C = 6ND` pays for.
  ///
  /// Concretely: `N = G (C/6)^(β/(α+β))` and `D = G⁻¹ (C/6)^(α/(α+β))` with `G = (αA / βB)^(1/(α+β))`.
  ///
  /// - Source: Hoffmann et al. (arXiv 2203.15556), equation 4.
  package func optimum(compute: Double) -> (parameters: Double, tokens: Double) {
    let logG = (log(alpha) + logA - log(beta) - logB) / (alpha + beta)
    let logC = log(compute / 6)
    return (exp(logG + parameterShare * logC), exp((1 - parameterShare) * logC - logG))
  }

  /// The least loss that a number of operations pays for.
  package func leastLoss(compute: Double) -> Double {
    let best = optimum(compute: compute)
    return loss(parameters: best.parameters, tokens: best.tokens)
  }

  /// `β / (α + β)`: the power of the operations with which the best number of parameters grows; that of tokens is the rest to 1.
  package var parameterShare: Double { beta / (alpha + beta) }

  /// The tokens after which a model of N parameters has a loss; nil where it never has.
  package func tokens(reaching loss: Double, parameters: Double) -> Double? {
    let rest = loss - irreducible - shortage(parameters: parameters)
    guard rest > 0 else { return nil }
    let tokens = exp((logB - log(rest)) / beta)
    return tokens.isFinite ? tokens : nil
  }
}
