import Autodiff
import Kernels
import SequenceParallel

/// LightNet's token mixer: linear attention whose keys are a softmax over all tokens so far.
///
/// Concretely: `z_t = log(e^{z_{t−1}} + e^{k_t})`, `S_t = diag(e^{z_{t−1}−z_t}) S_{t−1} + (e^{k_t−z_t})ᵀ v_t`,
/// `o = K^−½ silu(q) S`, `y = W_o(rms(o) ⊙ w ⊙ silu(x W_0 W_1))`, the norm over all heads together.
///
/// - Source: arXiv 2405.21022, section 3.
struct LightNetMixer: FlashLayer {
  let layer: Int
  let heads: HeadSplit
  let query, key, value: MixingProjection
  let kernel: DiagonalRecurrence
  let norm: HeadNorm
  let output: Linear

  /// The norm's epsilon, whatever the model's is.
  private static let normEpsilon: Float = 1e-6

  init(_ family: LightNet, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (name, dimension) = (place.name, place.dimension)
    layer = place.layer
    let heads = family.heads
    self.heads = heads
    func project(
      _ letter: Character, _ index: Int, _ width: Int, _ builder: inout ModelBuilder
    ) -> MixingProjection {
      builder.mixingProjection(
        letter, index, at: place, output: width, taps: family.taps, activation: .identity)
    }
    query = project("q", 0, heads.keyWidth, &builder)
    key = project("k", 1, heads.keyWidth, &builder)
    value = project("v", 2, heads.valueWidth, &builder)
    kernel = DiagonalRecurrence(
      .vector, keyDimension: heads.keyDimension, valueDimension: heads.valueDimension,
      scale: heads.scale)
    let gate = [
      builder.linear(name + "g_proj.0", family.gateRank, dimension),
      builder.linear(name + "g_proj.1", heads.valueWidth, family.gateRank),
    ]
    norm = HeadNorm(
      norm: builder.norm(
        name + "g_norm.weight", width: heads.valueWidth, epsilon: Self.normEpsilon), gate: gate,
      activation: .silu)
    output = builder.linear(name + "o_proj", dimension, heads.valueWidth)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; q k g [N, H·K]; v o [N, H·V].
    let q = tape.silu(
      try query(x, tape: tape, pass: pass, for: .products), for: .products)
    let logits = try key(x, tape: tape, pass: pass)
    let v = try value(x, tape: tape, pass: pass, for: .products)
    let state = CarrySlot(layer: layer, .state(0))
    let (k, g) = try tape.cumulativeSoftmax(
      logits, keyDimension: heads.keyDimension, slot: CarrySlot(layer: layer, .state(1)),
      decaying: state, pass: pass)
    let o = try tape.recurrence(
      kernel, RecurrenceInputs(q: q, k: k, v: v, g: g), slot: state, pass: pass)
    return try output(norm(o, input: x, tape: tape), adding: residual, tape: tape)
  }

  var recurrences: [RecurrenceSize] { [RecurrenceSize(kernel, heads: heads.heads)] }
}
