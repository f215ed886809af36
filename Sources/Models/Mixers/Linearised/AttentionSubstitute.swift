import Autodiff
import SequenceParallel

/// What stands in for the softmax of a Transformer's attention, between its projections.
protocol AttentionSubstitute: Sendable {
  /// The output of all heads, `[N, H·d]`, before the projection out.
  func callAsFunction(
    _ inputs: AttentionInputs, tape: Tape, pass: SequencePass
  ) throws -> Variable
  /// What its recurrences are, for counting their operations.
  var recurrences: [RecurrenceSize] { get }
  /// What its softmax attention is, for counting its operations; nil for none.
  var attention: AttentionSize? { get }
}

extension AttentionSubstitute {
  var attention: AttentionSize? { nil }
}
