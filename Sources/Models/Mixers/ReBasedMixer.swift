import Autodiff
import Kernels
import SequenceParallel
import Tensors

/// ReBased's token mixer: a recurrence without decay over squares of products, normalised.
///
/// Concretely, with `y = ln(x) ⊙ γ + β` of each head's queries and keys and `w_tj = (y^q_t · y^k_j)² / F`:
/// `o_t = Σ_{j ≤ t} w_tj v_j / (Σ_{j ≤ t} w_tj + ε)`, and `W_o o`.
///
/// - Source: arXiv 2402.10644, section 4.
struct ReBasedMixer: FlashLayer {
  let layer: Int
  let family: ReBased
  let query, key, value, output: Linear
  /// Of queries and keys alike, shape `[F]`; nil for none.
  let gamma, beta: Parameter?
  let kernel: DiagonalRecurrence

  /// Added to the variance of queries and keys.
  private static let normEpsilon: Float = 1e-5

  init(_ family: ReBased, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (name, dimension, heads) = (place.name, place.dimension, family.heads)
    (layer, self.family) = (place.layer, family)
    query = builder.linear(name + "q_proj", heads.keyWidth, dimension)
    key = builder.linear(name + "k_proj", heads.keyWidth, dimension)
    value = builder.linear(name + "v_proj", heads.valueWidth, dimension)
    gamma =
      family.usesGamma
      ? builder.parameter(
        name + "feature_map.gamma", [family.width], role: .norm, initialization: .constant(1)) : nil
    beta =
      family.usesBeta
      ? builder.parameter(
        name + "feature_map.beta", [family.width], role: .bias, initialization: .constant(0)) : nil
    kernel = DiagonalRecurrence(
      squaresOf: family.width, valueDimension: heads.partDimension,
      scale: 1 / Float(family.width), normalizer: Float(family.epsilon))
    output = builder.linear(name + "o_proj", dimension, heads.valueWidth)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; q k [N, H·F]; v [N, H·V]; o [N, H·V].
    let heads = family.heads
    func features(_ linear: Linear) throws -> Variable {
      var y = try tape.reshaped(
        linear(x, tape: tape), [x.shape.rows * heads.heads, family.width])
      if family.normalizes { y = tape.layerNorm(y, epsilon: Self.normEpsilon) }
      y = tape.affine(y, weight: gamma, bias: beta, for: .products)
      return tape.reshaped(y, [x.shape.rows, heads.keyWidth])
    }
    let o = try tape.recurrence(
      kernel,
      RecurrenceInputs(
        q: features(query), k: features(key), v: value(x, tape: tape, for: .products)),
      slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    return try output(o, adding: residual, tape: tape)
  }

  var recurrences: [RecurrenceSize] {
    [
      RecurrenceSize(
        kernel, heads: family.heads.heads, parts: family.heads.valueParts)
    ]
  }
}
