import Autodiff
import Foundation
import Kernels
import SequenceParallel
import Tensors

/// RWKV-7's token mixer: a state whose transition is a diagonal plus a product of two vectors, all from data.
///
/// Concretely: inputs `x_n = x + δ ⊙ μ_n` with `δ_t = x_{t−1} − x_t`, n one of r, w, k, v, a, g; with
/// `κ = l2(k ⊙ k_k)`, `a = σ(lora_a)`, `k ← k ⊙ (1 + (a − 1) ⊙ k_a)` and `v ← v + (v⁰ − v) ⊙ σ(lora_v)`, `v⁰` the values
/// of layer 0: `S_t = diag(e^{w_t}) S_{t−1} − (κ_t ⊙ a_t)ᵀ (κ_t S_{t−1}) + k_tᵀ v_t`, `o_t = r_t S_t`;
/// `y = W_o((ln(o) + (Σ r ⊙ k ⊙ r_k) v) ⊙ lora_g)`, `ln` over heads.
///
/// - Source: arXiv 2503.14456.
struct RWKV7Mixer: FlashLayer {
  /// What the values of layer 0 are called among the values that regions share.
  private static let firstValues = "rwkv7.values"
  /// `−e^{−½}`, the least log decay.
  private static let leastDecay: Float = -0.606_530_66

  let layer: Int
  let heads: Int
  let kernel: LowRankRecurrence
  let shift: TokenShift
  /// The shares of the token before in r, w, k, v, a and g.
  let shares: [Parameter]
  let receptance, key, value, output: Linear
  let decay, rate, gate: LowRankProjection
  /// What share of layer 0's values the values get; nil in layer 0.
  let residualValue: LowRankProjection?
  /// `k_k` and `k_a`, shape `[D]`, and `r_k`, `[H, K]`.
  let removalKey, keyRate, bonus: Parameter
  let keyEpsilon: Float
  let norm: LayerNorm

  init(_ family: RWKV7, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (name, d) = (place.name, place.dimension)
    let start = RWKV7Initialization(family, at: place)
    layer = place.layer
    heads = family.heads
    let K = family.headWidth
    shift = TokenShift(slot: CarrySlot(layer: layer, .halo(0)))
    shares = zip(["r", "w", "k", "v", "a", "g"], [0.2, 0.9, 0.7, 0.7, 0.9, 0.2]).map {
      builder.parameter(
        "\(name)x_\($0)", [1, 1, d], role: .norm, initialization: start.share(power: $1))
    }
    func vector(
      _ letter: String, _ shape: Shape, _ initialization: ParameterInitialization,
      _ builder: inout ModelBuilder
    ) -> Parameter {
      builder.parameter(name + letter, shape, role: .norm, initialization: initialization)
    }
    removalKey = vector("k_k", [d], start.removalKey, &builder)
    keyRate = vector("k_a", [d], .constant(1.02), &builder)
    bonus = vector("r_k", [heads, K], .constant(-0.04), &builder)
    func square(
      _ letter: String, _ initialization: ParameterInitialization, _ builder: inout ModelBuilder
    ) -> Linear {
      Linear(
        weight: builder.parameter(
          "\(name)\(letter)_proj.weight", [d, d], role: .matrix, initialization: initialization),
        bias: nil)
    }
    receptance = square("r", .orthogonal(gain: 1), &builder)
    key = square("k", .orthogonal(gain: 0.1), &builder)
    value = square("v", .orthogonal(gain: 1), &builder)
    output = square("o", .constant(0), &builder)
    func lowRank(
      _ letter: String, _ rank: Int, _ middle: LowRankProjection.Middle,
      bias: ParameterInitialization?, _ builder: inout ModelBuilder
    ) -> LowRankProjection {
      let name = "\(name)\(letter)_lora.lora."
      let down = builder.parameter(
        name + "0.weight", [rank, d], role: .matrix, initialization: .constant(0))
      let gain = 0.1 * max(1, Double(rank) / Double(d)).squareRoot()
      let up = builder.parameter(
        name + "2.weight", [d, rank], role: .matrix, initialization: .orthogonal(gain: gain))
      let offset = bias.map {
        builder.parameter(name + "2.bias", [d], role: .bias, initialization: $0)
      }
      return LowRankProjection(
        down: Linear(weight: down, bias: nil), up: Linear(weight: up, bias: offset),
        middle: middle)
    }
    decay = lowRank("w", family.ranks.decay, .tanh, bias: start.decayBias, &builder)
    residualValue =
      layer == 0
      ? nil : lowRank("v", family.ranks.value, .linear, bias: start.valueBias, &builder)
    rate = lowRank("a", family.ranks.rate, .linear, bias: start.rateBias, &builder)
    gate = lowRank("g", family.ranks.gate, .sigmoid, bias: nil, &builder)
    keyEpsilon = family.fusesNorm ? 1e-6 : 1e-24
    let weight = builder.parameter(
      name + "g_norm.weight", [d], role: .norm, initialization: start.outputNorm)
    norm = LayerNorm(
      weight: weight,
      bias: builder.parameter(
        name + "g_norm.bias", [d], role: .bias, initialization: .constant(0)),
      width: K, epsilon: Float(K) * place.epsilon)
    kernel = LowRankRecurrence(.vector, keyDimension: K, valueDimension: K)
  }

  /// The shift and the mixing read it, too.
  var readers: Readers { .any }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: all [N, D], D = H·K.
    let before = try shift(x, tape: tape, pass: pass)
    func input(_ index: Int) -> Variable {
      tape.interpolation(x, before, by: shares[index], for: .products)
    }
    let r = try receptance(input(0), tape: tape, for: .products)
    let k = try key(input(2), tape: tape, for: .products)
    let w = tape.sigmoid(try decay(input(1), tape: tape), scale: Self.leastDecay)
    let valueInput = input(3)
    let v = try values(value(valueInput, tape: tape, for: .products), of: valueInput, tape: tape)
    let rates = try rate(input(4), tape: tape)
    let a = tape.sigmoid(rates)
    let removed = tape.l2Norm(
      tape.channelScale(k, removalKey), width: kernel.keyDimension, epsilon: keyEpsilon,
      for: .products)
    let written = tape.interpolation(
      k, tape.product(k, a, for: .products), by: keyRate, for: .products)
    let o = try tape.recurrence(
      kernel,
      RecurrenceInputs(
        q: r, k: written, v: v, g: w, a: removed,
        b: tape.product(removed, tape.sigmoid(rates, scale: -1), for: .products)),
      slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    let y = tape.headBonus(
      q: r, k: written, v: v, weight: bonus, heads: heads, adding: norm(o, tape: tape))
    return try output(
      tape.product(y, gate(input(5), tape: tape, for: .products), for: .products), adding: residual,
      tape: tape)
  }

  /// This layer's values: those of layer 0 as they are, for all to read; later ones with a share of these.
  private func values(_ v: Variable, of x: Variable, tape: Tape) throws -> Variable {
    guard let residualValue else {
      tape.share(v, as: Self.firstValues)
      return v
    }
    // Where layer 0 is of another kind, there are none, which counts as zero.
    let first = tape.sharedValue(Self.firstValues) ?? tape.constant(v.shape, 0)
    return tape.interpolation(
      v, first, by: tape.sigmoid(try residualValue(x, tape: tape)), for: .products)
  }

  var recurrences: [RecurrenceSize] { [RecurrenceSize(kernel, heads: heads)] }
}
