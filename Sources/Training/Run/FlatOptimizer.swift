import Autodiff
import Optimizers
import Tensors

/// AdamW over all parameters, with its moments and its schedule.
public final class FlatOptimizer {
  /// The learning rate of each step.
  public let schedule: LearningRateSchedule
  /// The mean of gradients, in the table's index space.
  public let mean: Buffer
  /// The mean of squared gradients.
  public let square: Buffer
  private let rule: AdamW
  private let decay: WeightDecay
  private let clip: Double

  /// Makes an optimizer with moments of zero.
  public init(_ configuration: RunConfiguration, table: ParameterTable, workspace: Workspace) {
    let section = configuration.optimizer
    schedule = LearningRateSchedule(
      configuration.schedule, peak: section.learningRate, steps: configuration.training.steps)
    rule = AdamW(beta1: section.beta1, beta2: section.beta2, epsilon: section.epsilon)
    decay = WeightDecay(
      table, factor: section.weightDecay, norms: section.decayNorms,
      embeddings: section.decayEmbeddings)
    clip = section.clip
    mean = Buffer(count: table.count, pool: workspace.pool, kind: .optimizer)
    square = Buffer(count: table.count, pool: workspace.pool, kind: .optimizer)
    workspace.compute(.optimizer) {
      mean.pointer.update(repeating: 0, count: table.count)
      square.pointer.update(repeating: 0, count: table.count)
    }
  }

  /// The L2 norm of the gradient sums.
  public func norm(_ gradients: UnsafePointer<Float>, count: Int, team: ThreadTeam) -> Double {
    GradientNorm(
      sumOfSquares: GradientNorm.sumOfSquares(gradients, count: count, team: team)
    ).value
  }

  /// Updates all weights in one pass; scaling and clipping are part of it.
  ///
  /// - Parameters:
  ///   - step: Counted from 0.
  ///   - scale: What turns gradient sums into the gradient of the mean loss.
  ///   - norm: The gradient's norm after that.
  public func update(
    _ store: WholeParameters, step: Int, scale: Double, norm: Double, team: ThreadTeam
  ) {
    guard let gradients = store.gradients else { preconditionFailure("no gradients to use") }
    let clipping = clip > 0 && norm > clip ? clip / norm : 1
    rule.update(
      AdamW.Slice(
        range: 0..<store.table.count, weights: store.values.pointer,
        gradients: UnsafePointer(gradients.pointer), mean: mean.pointer, square: square.pointer),
      step: step + 1, learningRate: schedule.rate(at: step), decay: decay,
      gradientScale: scale * clipping, team: team)
  }
}
