import Tensors

/// A named part of what is minimised, beside the objective's own loss.
///
/// What is minimised is `(Σ losses + Σ_terms weight · sum) / targets`: all means are over the step's targets.
package struct LossTerm: Sendable, Equatable {
  /// Its name in the log.
  package let name: String
  /// What its sum is multiplied by.
  package let weight: Double
  /// The sum over this shard's positions, without the weight.
  package var sum: Double

  package init(_ name: String, weight: Double, sum: Double) {
    (self.name, self.weight, self.sum) = (name, weight, sum)
  }
}

extension Tape {
  /// Adds a term to what is minimised; any layer may.
  ///
  /// - Parameters:
  ///   - name: The same name adds up over layers.
  ///   - weight: What the sum is multiplied by; its gradient, too.
  ///   - sum: Shape `[1]`: the sum over this shard's positions.
  package func addLoss(_ name: String, weight: Double, _ sum: Variable) {
    precondition(sum.value.count == 1, "a loss term \(name) of shape \(sum.shape)")
    var value = 0.0
    workspace.compute(.head) { value = Double(sum.value.pointer[0]) }
    note(LossTerm(name, weight: weight, sum: value))
    guard isRecording, sum.needsGradient else { return }
    let seed = Tensor([1], pool: pool)
    workspace.compute(.head) { seed.pointer[0] = Float(weight) }
    sum.add(gradient: seed, in: workspace)
  }

  /// Notes a term whose gradient an op forms by itself; ones of the same name add up.
  package func note(_ term: LossTerm) {
    guard !isRecomputing else { return }
    if let index = terms.firstIndex(where: { $0.name == term.name }) {
      terms[index].sum += term.sum
    } else {
      terms.append(term)
    }
  }
}
