import Autodiff
import Foundation
import Kernels
import SequenceParallel

/// RetNet's token mixer: retention, a linear recurrence with a fixed decay per head.
///
/// Concretely: `S_t = γ_h S_{t−1} + k_tᵀ v_t` with `γ_h = 1 − 2^(−5−h)`, h from 0, and q and k rotated by halves;
/// `y = W_o(rms(o) ⊙ w ⊙ silu(x W_g))`.
///
/// - Source: arXiv 2307.08621, section 2.
struct RetNetMixer: FlashLayer {
  let layer: Int
  let heads: HeadSplit
  let query, key, value, output: Linear
  let featureMap: Activation
  let kernel: DiagonalRecurrence
  let norm: HeadNorm
  let positions: RotaryFrequencies

  init(_ family: RetNet, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (name, dimension) = (place.name, place.dimension)
    layer = place.layer
    heads = family.heads
    query = builder.linear(name + "q_proj", heads.keyWidth, dimension)
    key = builder.linear(name + "k_proj", heads.ownKeyWidth, dimension)
    value = builder.linear(name + "v_proj", heads.ownValueWidth, dimension)
    featureMap = family.featureMap
    positions = RotaryFrequencies(dimension: heads.keyDimension, base: 10_000)
    kernel = DiagonalRecurrence(
      .fixed, keyDimension: heads.keyDimension, valueDimension: heads.partDimension,
      scale: heads.scale)
    norm = builder.headNorm(
      family.isGated && family.fusesNorm ? "g_norm_swish_gate" : "g_norm", at: place,
      heads: heads.heads, valueDimension: heads.valueDimension, isGated: family.isGated)
    output = builder.linear(name + "o_proj", dimension, heads.valueWidth)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; q [N, H·K]; k [N, keyHeads·K]; v [N, keyHeads·V]; o [N, H·V].
    func rotated(_ linear: Linear) throws -> Variable {
      let isKept = featureMap != .identity
      return try tape.rotaryEmbedding(
        tape.activation(featureMap, linear(x, tape: tape, for: isKept ? .products : .any)),
        positions, pass: pass, for: .products)
    }
    let logDecay = (0..<heads.heads * heads.valueParts).map {
      Float(log1p(-pow(2, -5 - Double($0 / heads.valueParts))))
    }
    let o = try tape.recurrence(
      kernel,
      RecurrenceInputs(
        q: rotated(query), k: rotated(key), v: value(x, tape: tape, for: .products),
        logDecay: logDecay),
      slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    return try output(norm(o, input: x, tape: tape), adding: residual, tape: tape)
  }

  var recurrences: [RecurrenceSize] {
    [RecurrenceSize(kernel, heads: heads.heads, parts: heads.valueParts)]
  }
}
