import Autodiff
import SequenceParallel
import Tensors

/// RWKV's channel mixer, which sees the token before: `W_v max(W_k (x + δ ⊙ μ_k), 0)²`, in RWKV-6 times
/// `σ(W_r (x + δ ⊙ μ_r))`, with `δ_t = x_{t−1} − x_t`.
///
/// - Source: RWKV-6 (arXiv 2404.05892); RWKV-7 (2503.14456), which has no gate.
struct ShiftedChannels: ChannelMixer {
  let shift: TokenShift
  let keyShare: Parameter
  let key, value: Linear
  /// The gate's share of the token before, and its projection; nil for none.
  let receptance: (share: Parameter, linear: Linear)?

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    let before = try shift(x, tape: tape, pass: pass)
    let k = try tape.squaredReLU(
      key(tape.interpolation(x, before, by: keyShare, for: .products), tape: tape, for: .products),
      for: .products)
    guard let receptance else { return try value(k, adding: residual, tape: tape) }
    let gate = try tape.sigmoid(
      receptance.linear(
        tape.interpolation(x, before, by: receptance.share, for: .products), tape: tape))
    let y = tape.product(gate, try value(k, tape: tape))
    return residual.map { tape.sum($0, y) } ?? y
  }
}
