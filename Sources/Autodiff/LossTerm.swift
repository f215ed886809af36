import Tensors

/// A named part of what is minimised, beside the objective's own loss.
///
/// What is minimised is `Σ losses / targets + Σ_terms weight · mean`. A term's mean is over the step's targets, as the
/// loss is, or over all positions of all layers that add to it.
package struct LossTerm: Sendable, Equatable {
  /// Its name in the log.
  package let name: String
  /// What its mean is multiplied by.
  package let weight: Double
  /// The sum over this shard, without the weight.
  package var sum: Double
  /// How many positions of this shard the sum is over; nil where the mean is one over targets.
  package var positions: Int?

  package init(_ name: String, weight: Double, sum: Double, positions: Int? = nil) {
    (self.name, self.weight, self.sum) = (name, weight, sum)
    self.positions = positions
  }
}

/// A term that a layer or an objective may add: known before a step, and the same on every rank.
///
/// A rank that adds nothing to a term adds 0, so that sums of terms always travel in one order.
package struct DeclaredTerm: Sendable, Equatable {
  /// What a sum becomes a mean over.
  package enum Mean: Sendable { case targets, positions }

  package let name: String
  package let weight: Double
  package let mean: Mean
  /// How many layers of a model add to it.
  package var layers = 1

  package init(_ name: String, weight: Double, mean: Mean = .targets) {
    (self.name, self.weight, self.mean) = (name, weight, mean)
  }
}

extension [DeclaredTerm] {
  /// Of each term that is a mean over positions, a step's targets over the positions of all its layers.
  ///
  /// - Parameters:
  ///   - targets: Of the step, over all ranks.
  ///   - positions: Of the step, over all ranks, in one layer.
  package func targetsPerPosition(targets: Int, positions: Int) -> [String: Double] {
    Dictionary(
      uniqueKeysWithValues: filter { $0.mean == .positions }.map {
        ($0.name, Double(Swift.max(targets, 1)) / Double(positions * $0.layers))
      })
  }
}

extension Tape {
  /// Adds a term to what is minimised; any layer may, which declares it in its `lossTerms`.
  ///
  /// - Parameters:
  ///   - name: The same name adds up over layers.
  ///   - weight: What the mean is multiplied by; its gradient, too.
  ///   - sum: Shape `[1]`: the sum over this shard.
  ///   - positions: How many positions of this shard the sum is over, where the mean is one over positions.
  package func addLoss(
    _ name: String, weight: Double, _ sum: Variable, positions: Int? = nil
  ) {
    precondition(sum.value.count == 1, "a loss term \(name) of shape \(sum.shape)")
    var value = 0.0
    workspace.compute(.head) { value = Double(sum.value.pointer[0]) }
    note(LossTerm(name, weight: weight, sum: value, positions: positions))
    guard isRecording, sum.needsGradient else { return }
    var factor = weight
    if positions != nil {
      guard let share = targetsPerPosition[name] else {
        preconditionFailure("nobody told the tape how many positions the term \(name) has")
      }
      factor *= share
    }
    let seed = Tensor([1], pool: pool)
    workspace.compute(.head) { seed.pointer[0] = Float(factor) }
    sum.add(gradient: seed, in: workspace)
  }

  /// Notes a term whose gradient an op forms by itself; ones of the same name add up.
  package func note(_ term: LossTerm) {
    guard !isRecomputing else { return }
    guard let index = terms.firstIndex(where: { $0.name == term.name }) else {
      terms.append(term)
      return
    }
    precondition(
      (terms[index].positions == nil) == (term.positions == nil),
      "the term \(term.name) is a mean over targets in one layer, over positions in another")
    terms[index].sum += term.sum
    if let more = term.positions { terms[index].positions? += more }
  }
}
