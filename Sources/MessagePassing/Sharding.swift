import Configuration

/// What of the weights' memory is cut over the ranks, each part kept by one of them.
///
/// - Source: Rajbhandari et al., "ZeRO" (arXiv 1910.02054): stages 0 to 3.
package enum Sharding: String, KeyChoice {
  /// Every rank has everything.
  case none
  /// The optimizer's moments.
  case optimizer
  /// Moments and gradients.
  case gradients
  /// Moments, gradients and weights.
  case parameters
}
