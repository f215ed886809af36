import Autodiff
import Corpora
import Reporting

extension LossSums {
  /// What a shard gave, apart from answers of a task.
  package init(_ result: HeadResult, terms: [LossTerm], declared: [DeclaredTerm]) {
    for term in terms {
      precondition(
        declared.contains { $0.name == term.name }, "nobody declares the loss term \(term.name)")
    }
    self.init(
      loss: result.sum, targets: result.targets,
      terms: declared.map { declaration in
        let term = terms.first { $0.name == declaration.name }
        return Term(
          declaration.name, weight: declaration.weight, sum: term?.sum ?? 0,
          positions: declaration.mean == .positions ? term?.positions ?? 0 : nil)
      })
  }

  /// What a shard gave.
  ///
  /// - Parameters:
  ///   - terms: What was added to the loss on the way.
  ///   - declared: What may be: all of it is summed, in this order, whatever this shard added.
  package init(
    _ result: HeadResult, terms: [LossTerm], declared: [DeclaredTerm], batch: TokenBatch
  ) {
    self.init(result, terms: terms, declared: declared)
    guard batch.origins.count == batch.targets.count else { return }
    for (index, origin) in batch.origins.enumerated() where batch.targets[index] >= 0 {
      let right = result.predictions[index] == batch.targets[index] ? 1 : 0
      if Int(origin) < batch.positions.lowerBound {
        crossing.asked += 1
        crossing.right += right
      } else {
        inside.asked += 1
        inside.right += right
      }
    }
  }
}
