import Autodiff
import SequenceParallel
import Tensors

/// The Forgetting Transformer's token mixer: softmax attention whose scores fall by what gates have forgotten since.
///
/// Concretely: `o_t = Σ_j softmax_j(d^−½ q_t k_j + F_t − F_j) v_j`, F the running sums of `log σ(x W_f + b)` of each head;
/// `y = W_o o`, or `W_o(o ⊙ σ(x W_g))`. There are no rotary positions.
///
/// - Source: arXiv 2503.02130, section 3.
struct ForgettingAttentionMixer: FlashLayer {
  let layer: Int
  let heads: HeadSplit
  let query, key, value, gate: Linear
  let outputGate: Linear?
  let output: Linear
  /// Weights of all heads' channels, where queries and keys are normalised.
  let queryNorm, keyNorm: Parameter?

  private static let normEpsilon: Float = 1e-5

  init(_ family: ForgettingTransformer, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (name, dimension, bias) = (place.name, place.dimension, family.hasBias)
    layer = place.layer
    let heads = family.heads
    self.heads = heads
    query = builder.linear(name + "q_proj", heads.keyWidth, dimension, bias: bias)
    key = builder.linear(name + "k_proj", heads.ownKeyWidth, dimension, bias: bias)
    value = builder.linear(name + "v_proj", heads.ownValueWidth, dimension, bias: bias)
    gate = builder.linear(name + "f_proj", heads.heads, dimension, bias: true)
    outputGate = family.isGated ? builder.linear(name + "g_proj", dimension, dimension) : nil
    output = builder.linear(name + "o_proj", dimension, heads.valueWidth)
    func norm(_ letter: Character, _ width: Int, _ builder: inout ModelBuilder) -> Parameter? {
      guard family.normalizesKeys else { return nil }
      return builder.parameter(
        "\(name)\(letter)_norm.weight", [width], role: .norm, initialization: .constant(1))
    }
    queryNorm = norm("q", heads.keyWidth, &builder)
    keyNorm = norm("k", heads.ownKeyWidth, &builder)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x q o [N, D]; k v [N, keyHeads·d]; gates [N, H].
    func normalized(_ linear: Linear, _ weight: Parameter?) throws -> Variable {
      guard let weight else { return try linear(x, tape: tape, for: .products) }
      return try tape.headScale(
        tape.rmsNorm(
          linear(x, tape: tape), width: heads.keyDimension, epsilon: Self.normEpsilon),
        weight, for: .products)
    }
    let o = try tape.attention(
      q: normalized(query, queryNorm), k: normalized(key, keyNorm),
      v: value(x, tape: tape, for: .products),
      logGates: tape.logSigmoidGate(gate(x, tape: tape), divisor: 1),
      dimension: heads.keyDimension, slot: CarrySlot(layer: layer, .window), pass: pass)
    guard let outputGate else { return try output(o, adding: residual, tape: tape) }
    return try output(
      tape.product(
        o, tape.sigmoid(outputGate(x, tape: tape, for: .products)), for: .products),
      adding: residual, tape: tape)
  }

  var attention: AttentionSize? {
    AttentionSize(heads: heads.heads, dimension: heads.keyDimension, window: nil)
  }

  var seesAllTokens: Bool { true }
}
