/// How a router's scores become choices of experts, and weights of what is chosen.
package struct RoutingRule: Sendable, Equatable {
  /// What becomes of the router's logits.
  package enum Score: String, CaseIterable, Sendable {
    /// `exp(l_e) / Σ exp(l)`.
    case softmax
    /// `σ(l_e)`, each expert by itself.
    ///
    /// - Source: Wang et al., "Auxiliary-Loss-Free Load Balancing" (arXiv 2408.15664).
    case sigmoid
  }

  /// How many experts there are.
  package let experts: Int
  /// How many each token takes.
  package let chosen: Int
  package let score: Score
  /// Whether the weights of the chosen are divided by their sum.
  package let isRenormalized: Bool
  /// What all weights are multiplied by.
  package let scale: Float
  /// Groups of experts, of which the best are looked at: those with the greatest sum of two scores.
  package let groups: Int
  /// How many groups are looked at.
  package let bestGroups: Int

  package init(
    experts: Int, chosen: Int, score: Score = .softmax, renormalized: Bool = true,
    scale: Float = 1, groups: Int = 1, bestGroups: Int = 1
  ) {
    precondition(
      experts > 0 && (1...experts).contains(chosen) && groups > 0 && experts % groups == 0
        && (1...groups).contains(bestGroups) && chosen <= bestGroups * (experts / groups),
      "\(chosen) of \(experts) experts, in the best \(bestGroups) of \(groups) groups")
    (self.experts, self.chosen, self.score) = (experts, chosen, score)
    (isRenormalized, self.scale) = (renormalized, scale)
    (self.groups, self.bestGroups) = (groups, bestGroups)
  }
}
