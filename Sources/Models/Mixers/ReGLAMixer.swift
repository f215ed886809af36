import Autodiff
import Foundation
import Kernels
import SequenceParallel

/// ReGLA's token mixer: a linear recurrence that forgets what it takes in.
///
/// Concretely: `S_t = diag(f_t) S_{t−1} + ((1 − f_t) ⊙ φ(k_t))ᵀ v_t`, `o_t = K^−½ φ(q_t) S_t` with
/// `φ(x) = e^x / √(mean e^{2x})` over a head's channels and `f = (1 − r) g² + r (1 − (1 − g)²)`, g and r sigmoids of
/// projections; `y = W_o(rms(o) ⊙ w)`.
///
/// - Source: arXiv 2502.01578, section 3.
struct ReGLAMixer: FlashLayer {
  let layer: Int
  let heads: HeadSplit
  let query, key, value: Linear
  let gate, refinement: Linear
  let kernel: DiagonalRecurrence
  let norm: HeadNorm
  let output: Linear

  init(_ family: ReGLA, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (name, dimension) = (place.name, place.dimension)
    layer = place.layer
    let heads = family.heads
    self.heads = heads
    query = builder.linear(name + "q_proj", heads.keyWidth, dimension)
    key = builder.linear(name + "k_proj", heads.ownKeyWidth, dimension)
    value = builder.linear(name + "v_proj", heads.ownValueWidth, dimension)
    gate = builder.linear(
      name + "f_proj", heads.ownKeyWidth, dimension,
      initialBias: .drawn { Self.initialBias($1, channels: heads.keyDimension) })
    refinement = builder.linear(name + "r_proj", heads.ownKeyWidth, dimension, bias: true)
    kernel = DiagonalRecurrence(
      .vector, keyDimension: heads.keyDimension, valueDimension: heads.partDimension,
      scale: heads.scale)
    norm = builder.headNorm(
      "g_norm", at: place, heads: heads.heads, valueDimension: heads.valueDimension,
      isGated: false)
    output = builder.linear(name + "o_proj", dimension, heads.valueWidth)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; q [N, H·K]; k g [N, keyHeads·K]; v [N, keyHeads·V]; o [N, H·V].
    let q = tape.normalizedExponential(
      try query(x, tape: tape), width: heads.keyDimension, for: .products)
    let k = tape.normalizedExponential(
      try key(x, tape: tape), width: heads.keyDimension, for: .products)
    let g = try tape.refinedGate(gate(x, tape: tape), refinedBy: refinement(x, tape: tape))
    let o = try tape.recurrence(
      kernel,
      RecurrenceInputs(
        q: q, k: tape.product(tape.decayComplement(g), k, for: .products),
        v: value(x, tape: tape, for: .products), g: g),
      slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    return try output(norm(o, input: x, tape: tape), adding: residual, tape: tape)
  }

  /// A gate that is uniform between 1/K and 1 − 1/K, so that channels remember for a few tokens up to about K.
  ///
  /// - Source: Gu et al. (arXiv 1910.09890), section 3.2.
  private static func initialBias(_ uniform: Double, channels: Int) -> Double {
    let margin = 1 / Double(max(channels, 2))
    let gate = margin + (1 - 2 * margin) * uniform
    return log(gate / (1 - gate))
  }

  var recurrences: [RecurrenceSize] {
    [RecurrenceSize(kernel, heads: heads.heads, parts: heads.valueParts)]
  }
}
