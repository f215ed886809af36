import Autodiff
import Kernels

/// The norm of each head's output, gated by a projection of the mixer's input where there is a gate.
///
/// Concretely: `rms(o) ⊙ w`, or `rms(o) ⊙ w ⊙ act(x W_g)`.
struct HeadNorm {
  let norm: Norm
  /// The gate's projections, one after another; empty for no gate.
  let gate: [Linear]
  let activation: Activation

  /// `o` and the result `[N, H·V]`, which a projection reads; the mixer's input `x` `[N, D]`.
  func callAsFunction(_ o: Variable, input x: Variable, tape: Tape) throws -> Variable {
    guard !gate.isEmpty, let weight = norm.weight else {
      return norm(o, tape: tape, for: .products)
    }
    return try tape.gatedRMSNorm(
      o, gate: gate.reduce(x) { try $1($0, tape: tape, for: .products) }, weight: weight,
      epsilon: norm.epsilon, activation: activation, for: .products)
  }
}

extension ModelBuilder {
  /// A norm over heads of `heads.valueDimension` numbers, and the gate `g_proj` where wanted.
  ///
  /// - Parameter name: The norm's own name.
  mutating func headNorm(
    _ name: String, at place: MixerPlace, heads: Int, valueDimension: Int, isGated: Bool,
    activation: Activation = .silu
  ) -> HeadNorm {
    headNorm(
      name, at: place, valueDimension: valueDimension,
      gate: isGated
        ? [linear(place.name + "g_proj", heads * valueDimension, place.dimension)] : [],
      activation: activation)
  }

  /// A norm over heads of `valueDimension` numbers, gated by some projections one after another.
  mutating func headNorm(
    _ name: String, at place: MixerPlace, valueDimension: Int, gate: [Linear],
    activation: Activation
  ) -> HeadNorm {
    var norm = norm(
      "\(place.name)\(name).weight", width: valueDimension, epsilon: place.epsilon)
    norm.width = valueDimension
    return HeadNorm(norm: norm, gate: gate, activation: activation)
  }
}
