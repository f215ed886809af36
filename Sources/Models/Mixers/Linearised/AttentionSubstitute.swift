import Autodiff
import SequenceParallel
import Tensors

/// What stands in for the softmax of a Transformer's attention, between its projections.
protocol AttentionSubstitute: Sendable {
  /// The output of all heads, `[N, H·d]`, before the projection out, for some readers.
  func callAsFunction(
    _ inputs: AttentionInputs, tape: Tape, pass: SequencePass, for readers: Readers
  ) throws -> Variable
  /// Features of queries and keys, whose products are its weights; nil where it has no learned ones.
  func features(_ inputs: AttentionInputs, tape: Tape) -> AttentionFeatures?
  /// Of a head; nil where it has none.
  var featureCount: Int? { get }
  /// What its recurrences are, for counting their operations.
  var recurrences: [RecurrenceSize] { get }
  /// What its softmax attention is, for counting its operations; nil for none.
  var attention: AttentionSize? { get }
}

/// Features of queries and of keys of all tokens.
package struct AttentionFeatures {
  /// Shape `[N, H·count]`; keys in as many heads, or in those that they have.
  package let q, k: Variable
  /// Of a head.
  package let count: Int
}

extension AttentionSubstitute {
  /// None.
  func features(_ inputs: AttentionInputs, tape: Tape) -> AttentionFeatures? { nil }
  var featureCount: Int? { nil }
  var attention: AttentionSize? { nil }
}
