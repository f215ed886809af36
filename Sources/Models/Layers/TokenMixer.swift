import Autodiff
import Kernels
import SequenceParallel
import Tensors

/// The token-mixing layer of a block: computes q, k, v and gates, runs a recurrence, projects out.
package protocol TokenMixer: Sendable {
  /// Maps the input `[N, D]` and adds the residual `[N, D]`, where there is one.
  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable
  /// Who reads its input: projections alone, in most.
  var readers: Readers { get }
  /// What its recurrences are, for counting their operations.
  var recurrences: [RecurrenceSize] { get }
  /// What its softmax attention is, for counting its operations.
  var attention: AttentionSize? { get }
  /// Whether what it keeps of the tokens before grows with their number.
  var seesAllTokens: Bool { get }
  /// Weights of other regions than its block's that it reads.
  var sharedParameters: [Parameter] { get }
  /// The terms that it may add to the loss.
  var lossTerms: [DeclaredTerm] { get }
  /// How tokens choose among memories; nil where it has none to choose from.
  var experts: RoutingRule? { get }
  /// Weights that a token does not use always, with the share that does not.
  var idleWeights: [(weight: Parameter, share: Double)] { get }
}

extension TokenMixer {
  package var readers: Readers { .products }

  /// None.
  package var lossTerms: [DeclaredTerm] { [] }

  /// None.
  package var experts: RoutingRule? { nil }

  /// None.
  package var idleWeights: [(weight: Parameter, share: Double)] { [] }

  /// None.
  package var sharedParameters: [Parameter] { [] }

  package var recurrences: [RecurrenceSize] { [] }

  package var attention: AttentionSize? { nil }

  /// No: a state of fixed size.
  package var seesAllTokens: Bool { false }
}
