import Autodiff
import SequenceParallel
import Tensors

/// The attention layer of a Transformer in which something else stands between its projections.
///
/// Concretely: `y = W_o s(q, k, v, x)`, with the Transformer's own projections, norms of heads and positions.
package struct LinearisedLayer: TokenMixer {
  package var readers: Readers { .any }
  let layer: Int
  let projections: AttentionProjections
  /// The window of the Transformer's own attention; nil for all tokens.
  let window: Int?
  let substitute: any AttentionSubstitute

  init(
    _ settings: AttentionSettings, at place: MixerPlace, _ builder: inout ModelBuilder,
    substitute: (HeadSplit, inout ModelBuilder) -> any AttentionSubstitute
  ) {
    (layer, window) = (place.layer, settings.window)
    projections = AttentionProjections(settings, at: place, &builder)
    self.substitute = substitute(projections.heads, &builder)
  }

  /// Projects the layer's input, `[N, D]`.
  package func inputs(_ x: Variable, tape: Tape, pass: SequencePass) throws -> AttentionInputs {
    let (q, k, v) = try projections(x, tape: tape, for: .products)
    return AttentionInputs(
      x: x, q: q, k: k, v: v,
      rotatedQ: projections.rotated(q, tape: tape, pass: pass, for: .products),
      rotatedK: projections.rotated(k, tape: tape, pass: pass, for: .products))
  }

  /// What the layer computes in place of softmax attention, `[N, H·d]`, for some readers.
  package func student(
    _ inputs: AttentionInputs, tape: Tape, pass: SequencePass, for readers: Readers = .any
  ) throws -> Variable {
    try substitute(inputs, tape: tape, pass: pass, for: readers)
  }

  /// The softmax attention of the Transformer that the layer was made of, `[N, H·d]`.
  ///
  /// - Parameter slot: A window that nothing else of the pass uses: the student may have one in the layer's own.
  package func teacher(
    _ inputs: AttentionInputs, slot: CarrySlot, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    try tape.attention(
      q: inputs.rotatedQ, k: inputs.rotatedK, v: inputs.v,
      dimension: projections.heads.keyDimension, window: window, slot: slot, pass: pass)
  }

  /// The cross-entropy of the softmax's weights and of those of the layer's features, `[N, 1]`: of each position, summed
  /// over heads; nil where the layer has no features.
  ///
  /// - Parameter slot: A window that nothing else of the pass uses.
  package func crossEntropy(
    _ inputs: AttentionInputs, slot: CarrySlot, tape: Tape, pass: SequencePass
  ) throws -> Variable? {
    guard let features = substitute.features(inputs, tape: tape) else { return nil }
    return try tape.attentionCrossEntropy(
      q: inputs.rotatedQ, k: inputs.rotatedK, queryFeatures: features.q, keyFeatures: features.k,
      dimension: projections.heads.keyDimension, features: features.count, window: window,
      slot: slot, pass: pass)
  }

  /// The projection out of the layer, `[N, H·d]` to `[N, D]`.
  package func output(
    _ o: Variable, adding residual: Variable?, tape: Tape
  ) throws -> Variable {
    try projections.output(o, adding: residual, tape: tape)
  }

  package func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    let o = try student(
      inputs(x, tape: tape, pass: pass), tape: tape, pass: pass, for: .products)
    return try output(o, adding: residual, tape: tape)
  }

  package var recurrences: [RecurrenceSize] { substitute.recurrences }

  package var attention: AttentionSize? { substitute.attention }

  /// Features of a head whose weights are compared with the softmax's; nil where the layer has none.
  package var comparedFeatures: Int? { substitute.featureCount }

  /// The size of the Transformer's own attention, for counting the operations of a teacher.
  package var teacherAttention: AttentionSize {
    let heads = projections.heads
    return AttentionSize(heads: heads.heads, dimension: heads.keyDimension, window: window)
  }
}
