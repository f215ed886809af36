import Autodiff
import SequenceParallel
import Tensors

/// The row of the token before each, of which layers mix a share into the token's own, channel by channel.
///
/// - Source: RWKV (arXiv 2305.13048), section 3.1.
struct TokenShift {
  /// Where its halo crosses seams: one row of the layer's input.
  let slot: CarrySlot

  /// `x [N, D]` to the row before each token, zero at the start of a document, which pointwise functions read.
  func callAsFunction(_ x: Variable, tape: Tape, pass: SequencePass) throws -> Variable {
    try tape.tokenShift(x, for: .products, slot: slot, pass: pass)
  }
}
