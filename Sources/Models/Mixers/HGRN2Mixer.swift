import Autodiff
import Kernels
import SequenceParallel
import Tensors

/// HGRN2's token mixer: a linear recurrence whose forget gates, which have lower bounds, also write.
///
/// Concretely: `f = l + (1 − l) σ(x W_f)`, `S_t = diag(f_t) S_{t−1} + (1 − f_t)ᵀ i_t`, `o = K^−½ silu(x W_q) S`,
/// `y = W_o(rms(o) ⊙ w)`, the norm over all heads together.
///
/// - Source: arXiv 2404.07904.
struct HGRN2Mixer: FlashLayer {
  let layer: Int
  let heads: HeadSplit
  let query, forget, input: MixingProjection
  let bounds: LowerBounds
  let kernel: DiagonalRecurrence
  let norm: Norm
  let output: Linear

  /// The norm's epsilon, whatever the model's is.
  private static let normEpsilon: Float = 1e-5

  init(_ family: HGRN2, at place: MixerPlace, _ builder: inout ModelBuilder) {
    layer = place.layer
    let heads = family.heads
    self.heads = heads
    func project(
      _ letter: Character, _ index: Int, _ builder: inout ModelBuilder
    ) -> MixingProjection {
      builder.mixingProjection(
        letter, index, at: place, output: letter == "i" ? heads.valueWidth : heads.keyWidth,
        taps: family.taps, activation: .identity)
    }
    query = project("q", 0, &builder)
    forget = project("f", 1, &builder)
    input = project("i", 2, &builder)
    bounds =
      family.hasLowerBound
      ? builder.lowerBounds(layer: layer, width: heads.keyWidth)
      : LowerBounds(theta: nil, layer: layer)
    kernel = DiagonalRecurrence(
      .vector, keyDimension: heads.keyDimension, valueDimension: heads.partDimension,
      scale: heads.scale)
    norm = builder.norm(
      place.name + "g_norm.weight", width: heads.valueWidth, epsilon: Self.normEpsilon)
    output = builder.linear(place.name + "o_proj", place.dimension, heads.valueWidth)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; q g k [N, H·K]; v o [N, H·V].
    let q = tape.silu(
      try query(x, tape: tape, pass: pass, for: .products), for: .products)
    let (g, k) = bounds(try forget(x, tape: tape, pass: pass, isGate: true), tape: tape)
    let v = try input(x, tape: tape, pass: pass, for: .products)
    let o = try tape.recurrence(
      kernel, RecurrenceInputs(q: q, k: k, v: v, g: g),
      slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    return try output(norm(o, tape: tape, for: .products), adding: residual, tape: tape)
  }

  var sharedParameters: [Parameter] { bounds.shared }

  var recurrences: [RecurrenceSize] {
    [RecurrenceSize(kernel, heads: heads.heads, parts: heads.valueParts)]
  }
}
