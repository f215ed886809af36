import Autodiff
import Corpora
import Reporting

extension LossSums {
  /// What a shard gave.
  package init(_ result: HeadResult, terms: [LossTerm], batch: TokenBatch) {
    self.init(
      loss: result.sum, targets: result.targets,
      terms: terms.map { Term($0.name, weight: $0.weight, sum: $0.sum) })
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
