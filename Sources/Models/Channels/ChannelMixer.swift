import Autodiff
import Kernels
import SequenceParallel
import Tensors

/// The channel-mixing layer of a block: each token by itself, or with what the pass gives (a token shift, experts).
package protocol ChannelMixer: Sendable {
  /// Maps the input `[N, D]` and adds the residual `[N, D]`, where there is one.
  ///
  /// It may add terms to the loss by `tape.addLoss`, which it declares in `lossTerms`.
  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable
  /// Who reads its input: projections alone, in most.
  var readers: Readers { get }
  /// The terms that it may add to the loss.
  var lossTerms: [DeclaredTerm] { get }
  /// How tokens choose among experts; nil where it has none.
  var experts: RoutingRule? { get }
  /// What keeps the use of its experts equal without a loss; nil for nothing.
  var balancedBias: BalancedBias? { get }
  /// Weights that a token does not use always, with the share that does not.
  var idleWeights: [(weight: Parameter, share: Double)] { get }
}

extension ChannelMixer {
  package var readers: Readers { .products }

  /// None.
  package var lossTerms: [DeclaredTerm] { [] }

  /// None.
  package var experts: RoutingRule? { nil }

  /// None.
  package var balancedBias: BalancedBias? { nil }

  /// None.
  package var idleWeights: [(weight: Parameter, share: Double)] { [] }
}
