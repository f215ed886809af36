import Autodiff
import Kernels
import SequenceParallel
import Tensors

/// What softmax attention computes before and after the softmax: projections to queries, keys and values, norms of their
/// heads, rotary positions, and the projection out.
///
/// Another mixer that stands in for attention takes the same weights by their names.
struct AttentionProjections {
  let query, key, value, output: Linear
  /// What outputs are multiplied by the sigmoid of; nil for nothing.
  let gate: Linear?
  /// The norms of each head's queries and keys; nil for none.
  let queryNorm, keyNorm: Norm?
  let heads: HeadSplit
  let positions: RotaryFrequencies

  init(_ settings: AttentionSettings, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (name, dimension) = (place.name, place.dimension)
    let heads = settings.split(dimension)
    self.heads = heads
    if settings.isGated {
      let both = builder.fused(
        name + "q_proj", parts: [("query", heads.keyWidth), ("gate", heads.valueWidth)],
        groups: heads.heads, input: dimension, bias: settings.hasBias)
      (query, gate) = (both[0], both[1])
    } else {
      query = builder.linear(name + "q_proj", heads.keyWidth, dimension, bias: settings.hasBias)
      gate = nil
    }
    key = builder.linear(name + "k_proj", heads.ownKeyWidth, dimension, bias: settings.hasBias)
    value = builder.linear(
      name + "v_proj", heads.ownValueWidth, dimension, bias: settings.hasBias)
    output = builder.linear(
      name + "o_proj", dimension, heads.valueWidth, bias: settings.hasOutputBias)
    func norm(_ letter: Character, _ builder: inout ModelBuilder) -> Norm? {
      guard let epsilon = settings.normEpsilon else { return nil }
      var norm = builder.norm(
        "\(name)\(letter)_norm.weight", width: heads.keyDimension, epsilon: epsilon,
        isZeroCentred: settings.hasZeroCentredNorms)
      norm.width = heads.keyDimension
      return norm
    }
    queryNorm = norm("q", &builder)
    keyNorm = norm("k", &builder)
    positions = settings.positions.frequencies(
      dimension: settings.rotated ?? heads.keyDimension)
  }

  /// Queries `[N, H·d]`, keys and values `[N, keyHeads·d]` of `x`, `[N, D]`: normalised where the model says so, before
  /// positions.
  ///
  /// - Parameter readers: Who reads the values; queries and keys, too, where neither norms nor positions do.
  func callAsFunction(
    _ x: Variable, tape: Tape, for readers: Readers = .any
  ) throws -> (q: Variable, k: Variable, v: Variable) {
    let isPlain = queryNorm == nil && positions.dimension == 0
    let q = try query(x, tape: tape, for: isPlain ? readers : .any)
    let k = try key(x, tape: tape, for: isPlain ? readers : .any)
    let v = try value(x, tape: tape, for: readers)
    return (queryNorm?(q, tape: tape) ?? q, keyNorm?(k, tape: tape) ?? k, v)
  }

  /// What the layer makes of heads' outputs `o`, `[N, H·d]`, and of its input `x`, `[N, D]`.
  func output(
    _ o: Variable, input x: Variable, adding residual: Variable?, tape: Tape
  ) throws -> Variable {
    guard let gate else { return try output(o, adding: residual, tape: tape) }
    let factor = try tape.sigmoid(gate(x, tape: tape, for: .products))
    return try output(tape.product(o, factor, for: .products), adding: residual, tape: tape)
  }

  /// Queries or keys, rotated by their positions, for some readers; as they are where there are no positions.
  func rotated(
    _ x: Variable, tape: Tape, pass: SequencePass, for readers: Readers = .any
  ) -> Variable {
    positions.dimension == 0
      ? x
      : tape.rotaryEmbedding(
        x, positions, of: heads.keyDimension, pass: pass, for: readers)
  }
}
