import Autodiff
import Kernels
import SequenceParallel

/// Gated slot attention's token mixer: softmax attention over slots that gates write and forget.
///
/// Concretely: `q, k = φ(x W)`, `v = silu(x W_v)`, `g = log σ(x W_f) / c`, then `GatedSlotRecurrence`, and
/// `y = W_o(rms(silu(o)) ⊙ w)`, the norm over all heads together.
///
/// - Source: arXiv 2409.07146.
struct GSAMixer: FlashLayer {
  let layer: Int
  let heads: HeadSplit
  let query, key, value: MixingProjection
  let featureMap: Activation
  let gate: Linear
  /// What log decays are divided by.
  let divisor: Float
  let kernel: GatedSlotRecurrence
  let norm: Norm
  let output: Linear

  /// The norm's epsilon, whatever the model's is.
  private static let normEpsilon: Float = 1e-5

  init(_ family: GatedSlotAttention, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (name, heads) = (place.name, family.heads)
    layer = place.layer
    self.heads = heads
    let activation: Activation = family.taps == nil ? .identity : .silu
    query = builder.mixingProjection(
      "q", 0, at: place, output: heads.keyWidth, taps: family.taps, activation: activation)
    key = builder.mixingProjection(
      "k", 1, at: place, output: heads.ownKeyWidth, taps: family.taps, activation: activation)
    value = builder.mixingProjection(
      "v", 2, at: place, output: heads.ownValueWidth, taps: family.taps, activation: activation)
    featureMap = family.featureMap
    gate = builder.linear(name + "f_proj", heads.keyHeads * family.slots, place.dimension)
    divisor = Float(family.divisor)
    kernel = GatedSlotRecurrence(
      keyWidth: heads.keyDimension, valueWidth: heads.valueDimension, slots: family.slots)
    norm = builder.norm(
      name + "g_norm.weight", width: heads.valueWidth, epsilon: Self.normEpsilon)
    output = builder.linear(name + "o_proj", place.dimension, heads.valueWidth)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; q [N, H·K]; k [N, keyHeads·K]; v [N, keyHeads·V]; g [N, keyHeads·M]; o [N, H·V].
    let q = tape.activation(
      featureMap, try query(x, tape: tape, pass: pass, for: .products), for: .products)
    let k = tape.activation(
      featureMap, try key(x, tape: tape, pass: pass, for: .products), for: .products)
    let v = tape.silu(
      try value(x, tape: tape, pass: pass, for: .products), for: .products)
    let g = tape.logSigmoidGate(try gate(x, tape: tape), divisor: divisor)
    let o = try tape.recurrence(
      kernel, RecurrenceInputs(q: q, k: k, v: v, g: g),
      slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    return try output(norm(tape.silu(o), tape: tape), adding: residual, tape: tape)
  }

  var recurrences: [RecurrenceSize] { [RecurrenceSize(kernel, heads: heads.heads)] }
}
