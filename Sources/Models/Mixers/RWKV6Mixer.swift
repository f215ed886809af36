import Autodiff
import Foundation
import Kernels
import SequenceParallel
import Tensors

/// RWKV-6's token mixer: a decay for every key channel from data, and a bonus for the token's own key and value.
///
/// Concretely: inputs `x_n = x + δ ⊙ μ_n` with `δ_t = x_{t−1} − x_t` and `μ_n` from data, n one of r, w, k, v, g;
/// `S_t = diag(e^{g_t}) S_{t−1} + k_tᵀ v_t` with `g = −e^{w}`, `o_t = r_t (S_{t−1} + diag(u) k_tᵀ v_t)`;
/// `y = W_o(ln(o) ⊙ silu(x_g W_g))`, `ln` over heads.
///
/// - Source: arXiv 2404.05892.
struct RWKV6Mixer: FlashLayer {
  let layer: Int
  let heads: HeadSplit
  let kernel: DiagonalRecurrence
  let shift: TokenShift
  /// The share of the token before in what shares are made of, and the projection of that: `[5·R, D]`.
  let mixing: (share: Parameter, down: Linear)
  /// What makes the shares of r, w, k, v and g of it, each with a bias.
  let shares: [Linear]
  let receptance, key, value, gate, output: Linear
  let decay: LowRankProjection
  /// `u`, shape `[H, K]`.
  let bonus: Parameter
  let norm: LayerNorm

  init(_ family: RWKV6, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (name, dimension) = (place.name, place.dimension)
    layer = place.layer
    let heads = family.heads
    self.heads = heads
    let rank = family.mixingRank
    shift = TokenShift(slot: CarrySlot(layer: layer, .halo(0)))
    mixing = (
      builder.parameter(
        name + "x_proj.0.mu", [dimension], role: .norm, initialization: .constant(0)),
      builder.linear(name + "x_proj.0.linear", 5 * rank, dimension)
    )
    let letters = ["r", "w", "k", "v", "g"]
    let weights = letters.map {
      builder.part(
        "\(name)x_proj.2.\($0).weight", [dimension, rank], role: .matrix,
        initialization: .normal(deviation: builder.deviation))
    }
    builder.fuse(columnsOf: weights, into: name + "x_proj.2.weight")
    let biases = letters.map {
      builder.part(
        "\(name)x_bias.\($0)", [dimension], role: .bias, initialization: .constant(0))
    }
    builder.fuse(biases, into: name + "x_bias", [5, dimension])
    shares = zip(weights, biases).map { Linear(weight: $0, bias: $1) }
    receptance = builder.linear(name + "r_proj.linear", heads.keyWidth, dimension)
    decay = LowRankProjection(
      down: builder.linear(name + "w_proj.linear.lora.0", family.decayRank, dimension),
      up: builder.linear(
        name + "w_proj.linear.lora.2", heads.keyWidth, family.decayRank, bias: true),
      middle: .tanh)
    key = builder.linear(name + "k_proj.linear", heads.keyWidth, dimension)
    value = builder.linear(name + "v_proj.linear", heads.valueWidth, dimension)
    gate = builder.linear(name + "g_proj.linear", heads.valueWidth, dimension)
    bonus = builder.parameter(
      name + "bonus", [heads.heads, heads.keyDimension], role: .norm, initialization: .constant(0))
    norm = builder.layerNorm(
      name + "g_norm", columns: heads.valueWidth, width: heads.valueDimension,
      epsilon: place.epsilon)
    let bound = 1 / Double(dimension).squareRoot() / Double(2 * place.depth).squareRoot()
    output = Linear(
      weight: builder.parameter(
        name + "o_proj.weight", [dimension, heads.valueWidth], role: .matrix,
        initialization: .drawn { bound * (2 * $1 - 1) }),
      bias: nil)
    kernel = DiagonalRecurrence(
      .vector, keyDimension: heads.keyDimension, valueDimension: heads.partDimension,
      isExclusive: true)
  }

  /// The shift and the mixing read it, too.
  var readers: Readers { .any }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; r k g [N, H·K]; v o [N, H·V].
    let before = try shift(x, tape: tape, pass: pass)
    let mixed = tape.tanh(
      try mixing.down(tape.interpolation(x, before, by: mixing.share, for: .products), tape: tape))
    let rank = mixed.shape.columns / shares.count
    let inputs = try shares.enumerated().map { index, share in
      let part = tape.columns(mixed, index * rank..<(index + 1) * rank, for: .products)
      return tape.interpolation(x, before, by: try share(part, tape: tape), for: .products)
    }
    let r = try receptance(inputs[0], tape: tape, for: .products)
    let g = tape.exponentialGate(try decay(inputs[1], tape: tape))
    let k = try key(inputs[2], tape: tape, for: .products)
    let v = try value(inputs[3], tape: tape, for: .products)
    let seen = try tape.recurrence(
      kernel, RecurrenceInputs(q: r, k: k, v: v, g: g),
      slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    let o = norm(
      tape.headBonus(q: r, k: k, v: v, weight: bonus, heads: heads.heads, adding: seen), tape: tape)
    return try output(
      tape.swiGLU(gate: gate(inputs[4], tape: tape, for: .products), o, for: .products),
      adding: residual, tape: tape)
  }

  var recurrences: [RecurrenceSize] {
    [RecurrenceSize(kernel, heads: heads.heads, parts: heads.valueParts)]
  }
}
