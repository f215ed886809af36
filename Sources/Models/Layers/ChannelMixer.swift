import Autodiff

/// The channel-mixing layer of a block.
package enum ChannelMixer: Sendable {
  /// TNL's SGLU: `x W_1 ⊙ x W_2`, then `W_3`; no activation.
  case sglu(Linear, Linear, Linear)
  /// SwiGLU: `silu(x W_gate) ⊙ x W_up`, then `W_down`.
  case swiglu(gate: Linear, up: Linear, down: Linear)

  /// Maps the normalised input and adds the residual.
  package func callAsFunction(_ x: Variable, adding residual: Variable, tape: Tape) throws
    -> Variable
  {
    switch self {
    case .sglu(let l1, let l2, let l3):
      try l3(tape.product(l1(x, tape: tape), l2(x, tape: tape)), adding: residual, tape: tape)
    case .swiglu(let gate, let up, let down):
      try down(
        tape.swiGLU(gate: gate(x, tape: tape), up(x, tape: tape)), adding: residual, tape: tape)
    }
  }
}
