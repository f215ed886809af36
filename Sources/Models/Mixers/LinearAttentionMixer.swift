import Autodiff
import Kernels
import SequenceParallel

/// Linear attention's token mixer: a linear recurrence without decay over features of queries and keys.
///
/// Concretely: `S_t = S_{t−1} + φ(k_t)ᵀ v_t`, `o_t = scale · φ(q_t) S_t`, with a normaliser over
/// `scale · φ(q_t) · Σ φ(k_j) + 1e-10`; `y = W_o(rms(o) ⊙ w)`.
///
/// - Source: arXiv 2006.16236, section 3.2.
struct LinearAttentionMixer: FlashLayer {
  let layer: Int
  let family: LinearAttention
  let query, key, value: Linear
  let queryMap, keyMap: HeadFeatureMap
  let kernel: DiagonalRecurrence
  let norm: HeadNorm
  let output: Linear

  /// Added to the sum that features are divided by, and to the normaliser.
  private static let (sumEpsilon, normalizerEpsilon): (Float, Float) = (1e-4, 1e-10)

  init(_ family: LinearAttention, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (name, dimension, heads) = (place.name, place.dimension, family.heads)
    (layer, self.family) = (place.layer, family)
    query = builder.linear(name + "q_proj", heads.keyWidth, dimension)
    key = builder.linear(name + "k_proj", heads.ownKeyWidth, dimension)
    value = builder.linear(name + "v_proj", heads.ownValueWidth, dimension)
    queryMap = builder.featureMap(
      family.features, name + "feature_map_q", width: heads.keyDimension)
    keyMap =
      family.tiesFeatureMap
      ? queryMap
      : builder.featureMap(family.features, name + "feature_map_k", width: heads.keyDimension)
    kernel = DiagonalRecurrence(
      .none, keyDimension: family.featureCount,
      valueDimension: heads.partDimension, scale: 1 / Float(family.featureCount).squareRoot(),
      normalizer: family.normalizes ? Self.normalizerEpsilon : nil)
    norm = builder.headNorm(
      "norm", at: place, heads: heads.heads, valueDimension: heads.valueDimension, isGated: false)
    output = builder.linear(name + "o_proj", dimension, heads.valueWidth)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; q [N, H·F]; k [N, keyHeads·F]; v [N, keyHeads·V]; o [N, H·V].
    func features(_ linear: Linear, _ map: HeadFeatureMap, isNormed: Bool) throws -> Variable {
      let y = try map(linear(x, tape: tape, for: map.readers), tape: tape)
      return isNormed
        ? tape.sumNorm(
          y, width: family.featureCount, epsilon: Self.sumEpsilon, for: .products) : y
    }
    let q = try features(query, queryMap, isNormed: family.normsQueries)
    let k = try features(key, keyMap, isNormed: family.normsKeys)
    let o = try tape.recurrence(
      kernel, RecurrenceInputs(q: q, k: k, v: value(x, tape: tape, for: .products)),
      slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    return try output(norm(o, input: x, tape: tape), adding: residual, tape: tape)
  }

  var recurrences: [RecurrenceSize] {
    [RecurrenceSize(kernel, heads: family.heads.heads, parts: family.heads.valueParts)]
  }
}
