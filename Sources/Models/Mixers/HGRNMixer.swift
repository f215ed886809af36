import Autodiff
import Kernels
import SequenceParallel
import Tensors

/// HGRN's token mixer: an elementwise recurrence whose forget gates, which have lower bounds, also write.
///
/// Concretely: `f = l + (1 − l) σ(x W_f)`, `h_t = f_t ⊙ h_{t−1} + (1 − f_t) ⊙ silu(x W_i)`,
/// `y = W_o(rms(h) ⊙ w ⊙ silu(x W_g))`.
///
/// - Source: arXiv 2311.04823.
struct HGRNMixer: FlashLayer {
  let layer: Int
  let width: Int
  let input, forget: MixingProjection
  let bounds: LowerBounds
  /// Of all channels together.
  let norm: HeadNorm
  let output: Linear

  init(_ family: HGRN, at place: MixerPlace, _ builder: inout ModelBuilder) {
    layer = place.layer
    width = family.width
    input = builder.mixingProjection(
      "i", 0, at: place, output: width, taps: family.taps, activation: .identity)
    forget = builder.mixingProjection(
      "f", 1, at: place, output: width, taps: family.taps, activation: .identity)
    bounds =
      family.hasLowerBound
      ? builder.lowerBounds(layer: layer, width: width) : LowerBounds(theta: nil, layer: layer)
    norm = builder.headNorm("g_norm", at: place, heads: 1, valueDimension: width, isGated: true)
    output = builder.linear(place.name + "o_proj", place.dimension, width)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; i g written h [N, I].
    let i = try input(x, tape: tape, pass: pass, for: .products)
    let (g, written) = bounds(try forget(x, tape: tape, pass: pass, isGate: true), tape: tape)
    let h = try tape.elementwiseRecurrence(
      tape.swiGLU(gate: i, written), logDecay: g, slot: CarrySlot(layer: layer, .state(0)),
      pass: pass)
    return try output(norm(h, input: x, tape: tape), adding: residual, tape: tape)
  }

  var sharedParameters: [Parameter] { bounds.shared }

  var recurrences: [RecurrenceSize] { [.elementwise(states: width, operations: 2)] }
}
