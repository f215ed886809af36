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
struct RetNetMixer: TokenMixer {
  let layer: Int
  let heads: HeadSplit
  let query, key, value, output: Linear
  let featureMap: Activation
  let norm: HeadNorm

  init(
    _ family: RetNet, layer: Int, dimension: Int, epsilon: Float, name: String,
    _ builder: inout ModelBuilder
  ) {
    self.layer = layer
    heads = family.heads
    query = builder.linear(name + "q_proj", heads.keyWidth, dimension)
    key = builder.linear(name + "k_proj", heads.ownKeyWidth, dimension)
    value = builder.linear(name + "v_proj", heads.ownValueWidth, dimension)
    featureMap = family.featureMap
    norm = builder.headNorm(
      name, normName: family.isGated && family.fusesNorm ? "g_norm_swish_gate" : "g_norm",
      heads: heads.heads, valueDimension: heads.valueDimension, input: dimension,
      isGated: family.isGated, epsilon: epsilon)
    output = builder.linear(name + "o_proj", dimension, heads.valueWidth)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; q [N, H·K]; k [N, keyHeads·K]; v [N, keyHeads·V]; o [N, H·V].
    func rotated(_ linear: Linear) throws -> Variable {
      try tape.rotaryEmbedding(
        featureMap(linear(x, tape: tape), tape: tape), dimension: heads.keyDimension, pass: pass)
    }
    let logDecay = (0..<heads.heads * heads.valueParts).map {
      Float(log1p(-pow(2, -5 - Double($0 / heads.valueParts))))
    }
    let kernel = DiagonalRecurrence(
      .fixed, keyDimension: heads.keyDimension, valueDimension: heads.partDimension,
      scale: 1 / Float(heads.keyDimension).squareRoot())
    let o = try tape.recurrence(
      kernel,
      RecurrenceInputs(
        q: rotated(query), k: rotated(key), v: value(x, tape: tape), logDecay: logDecay),
      slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    return try output(norm(o, input: x, tape: tape), adding: residual, tape: tape)
  }

  var recurrences: [RecurrenceSize] {
    [
      RecurrenceSize(
        heads: heads.heads, keyDimension: heads.keyDimension, valueDimension: heads.valueDimension,
        isDelta: false)
    ]
  }
}
