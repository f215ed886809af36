/// A function of each number that models name; an op that takes one says which of them it computes.
package enum Activation: Sendable, Hashable {
  /// `x`.
  case identity
  /// `max(x, 0)`.
  case relu
  /// `x σ(x)`.
  case silu
  /// `σ(x)`.
  case sigmoid
  /// `elu(x) + 1`.
  case eluPlusOne
}
