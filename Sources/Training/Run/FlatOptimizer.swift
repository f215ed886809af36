import DataParallel
import Optimizers
import Tensors

/// AdamW over the parameters that this rank updates, with its moments and its schedule.
package final class FlatOptimizer {
  /// The learning rate of each step.
  package let schedule: LearningRateSchedule
  /// The first moment of the parts that this rank updates, one after another.
  package let firstMoment: Buffer
  /// The second moment, likewise.
  package let secondMoment: Buffer
  private let rule: AdamW
  private let decay: WeightDecay
  private let clip: Double

  /// Makes an optimizer with moments of zero.
  package init(_ configuration: RunConfiguration, store: ShardedParameters, workspace: Workspace) {
    let table = store.table
    let count = store.updated.reduce(0) { $0 + $1.range.count }
    let section = configuration.optimizer
    schedule = LearningRateSchedule(
      configuration.schedule, peak: section.learningRate, steps: configuration.training.steps)
    rule = AdamW(beta1: section.beta1, beta2: section.beta2, epsilon: section.epsilon)
    decay = WeightDecay(
      table, factor: section.weightDecay, norms: section.decayNorms,
      embeddings: section.decayEmbeddings)
    clip = section.clip
    firstMoment = Buffer(count: count, pool: workspace.pool, kind: .optimizer)
    secondMoment = Buffer(count: count, pool: workspace.pool, kind: .optimizer)
    workspace.compute(.optimizer) {
      firstMoment.pointer.update(repeating: 0, count: count)
      secondMoment.pointer.update(repeating: 0, count: count)
    }
  }

  /// Updates the weights that this rank updates in one pass; scaling and clipping are part of it.
  ///
  /// - Parameters:
  ///   - step: Counted from 0.
  ///   - scale: What turns gradient sums into the gradient of the mean loss.
  ///   - norm: The gradient's norm after that.
  package func update(
    _ store: ShardedParameters, step: Int, scale: Double, norm: GradientNorm, team: ThreadTeam
  ) {
    for part in store.updated {
      rule.update(
        AdamW.Slice(
          range: part.range, weights: part.values, gradients: UnsafePointer(part.gradients),
          firstMoment: firstMoment.pointer + part.offset,
          secondMoment: secondMoment.pointer + part.offset),
        step: step + 1, learningRate: schedule.rate(at: step), decay: decay,
        gradientScale: scale * norm.clippingScale(limit: clip), team: team)
    }
  }
}
