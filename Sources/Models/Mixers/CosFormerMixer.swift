import Autodiff
import Kernels
import SequenceParallel

/// cosFormer's token mixer: linear attention whose weights fall as a cosine of the distance.
///
/// Concretely: `o_t = Σ_j w_tj v_j / Σ_j w_tj`, `w_tj = relu(q_t)·relu(k_j) cos(π(t − j)/2M)`, `y = W_o o`: two states, of keys
/// times the cosine and the sine of their positions' angles, which are one of twice as many key channels.
///
/// - Source: arXiv 2202.08791, section 3.
struct CosFormerMixer: FlashLayer {
  let layer: Int
  let heads: HeadSplit
  let query, key, value, output: Linear
  let weights: CosineWeights
  let kernel: DiagonalRecurrence

  /// What keeps a sum of weights that are all zero from dividing.
  private static let epsilon: Float = 1e-6

  init(_ family: CosFormer, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (name, dimension) = (place.name, place.dimension)
    layer = place.layer
    heads = family.heads
    query = builder.linear(name + "q_proj", heads.keyWidth, dimension)
    key = builder.linear(name + "k_proj", heads.ownKeyWidth, dimension)
    value = builder.linear(name + "v_proj", heads.ownValueWidth, dimension)
    output = builder.linear(name + "o_proj", dimension, heads.valueWidth)
    weights = CosineWeights(length: family.length, width: heads.keyDimension)
    kernel = DiagonalRecurrence(
      .none, keyDimension: 2 * heads.keyDimension, valueDimension: heads.valueDimension,
      normalizer: Self.epsilon)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; q [N, H·2K]; k [N, keyHeads·2K]; v [N, keyHeads·V]; o [N, H·V].
    try pass.check(
      documentsAtMost: weights.length, key: CosFormer.lengthKey,
      slot: CarrySlot(layer: layer, .state(1)))
    func weighted(_ linear: Linear) throws -> Variable {
      try tape.cosineWeighted(
        tape.relu(linear(x, tape: tape, for: .products), for: .products), weights,
        layout: pass.layout,
        for: .products)
    }
    let o = try tape.recurrence(
      kernel,
      RecurrenceInputs(
        q: weighted(query), k: weighted(key), v: value(x, tape: tape, for: .products)),
      slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    return try output(o, adding: residual, tape: tape)
  }

  var recurrences: [RecurrenceSize] { [RecurrenceSize(kernel, heads: heads.heads)] }
}
