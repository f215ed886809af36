import Autodiff
import Tensors

/// The head: what makes logits of the last hidden states.
package struct Head: Sendable {
  /// Shape `[vocabulary, D]`.
  package let weight: Parameter
  /// What logits are kept within, `c tanh(z / c)`; nil for what the products are.
  package let softCap: Float?

  package init(weight: Parameter, softCap: Float? = nil) {
    (self.weight, self.softCap) = (weight, softCap)
  }

  /// Logits, `[N, vocabulary]`, of hidden states `[N, D]`.
  package func callAsFunction(_ x: Variable, tape: Tape) throws -> Variable {
    let z = try tape.linear(x, weight)
    return softCap.map { tape.softCap(z, $0) } ?? z
  }
}
