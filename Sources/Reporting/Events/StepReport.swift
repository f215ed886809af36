/// What a step gave.
package struct StepOutcome: Sendable {
  /// The step, counted from 0.
  package let step: Int
  /// Sums over all ranks.
  package let sums: LossSums
  /// The gradient's global L2 norm before clipping.
  package let gradientNorm: Double
  /// The learning rate of the step.
  package let learningRate: Double
  /// Whether any rank asks to stop: the same on all.
  package var stops = false
  /// Whether any rank asks for a checkpoint: the same on all.
  package var saves = false
  /// Why there was no update; nil where there was one.
  package var skipped: SkippedStep?
  /// What stands out of it; nil where nothing does, or nobody looks.
  package var spike: Spike?
  /// How the step's tokens fell on experts; nil where there are none.
  package var experts: ExpertShares?
  /// Streams of all ranks whose states were no finite numbers, and that begin anew.
  package var renewedStreams = 0

  /// Mean loss a target, in nats.
  package var loss: Double { sums.meanLoss }

  package init(
    step: Int, sums: LossSums, gradientNorm: Double, learningRate: Double, stops: Bool = false,
    saves: Bool = false
  ) {
    (self.step, self.sums, self.gradientNorm) = (step, sums, gradientNorm)
    (self.learningRate, self.stops, self.saves) = (learningRate, stops, saves)
  }
}

/// A step as the log and the console report it.
package struct StepReport: Sendable {
  /// Losses, gradient norm and learning rate.
  package let outcome: StepOutcome
  /// Tokens of the step over the whole world, targets or not.
  package let tokens: Int
  /// Seconds the step took on rank 0.
  package let seconds: Double
  /// Operations of the step over the whole world, by the field's formula.
  package let operations: Double
  /// Every rank's figures, in rank order.
  package let ranks: [RankFigures]

  package init(
    outcome: StepOutcome, tokens: Int, seconds: Double, operations: Double, ranks: [RankFigures]
  ) {
    (self.outcome, self.tokens, self.seconds) = (outcome, tokens, seconds)
    (self.operations, self.ranks) = (operations, ranks)
  }

  /// Tokens a second over the whole world.
  package var tokensPerSecond: Double { Double(tokens) / seconds }
  /// Operations a second over the whole world, in units of 10⁹.
  package var gigaflops: Double { operations / seconds * 1e-9 }
  /// The share of the time of sums of gradients, and of gathers of weights, in which ranks did not wait for
  /// them; nil where there was none.
  ///
  /// Concretely: `1 − Σ waiting / Σ under way`, over all ranks.
  package var hiddenShare: Double? {
    let all = ranks.reduce(0) { $0 + $1.transferSeconds }
    let waiting = ranks.reduce(0) { $0 + $1.transferWaitSeconds }
    return all > 0 ? max(0, 1 - waiting / all) : nil
  }
  /// The share of the ranks' time spent waiting for states.
  ///
  /// A rank's own time counts: one that came early to a step, while rank 0 still wrote files, waited longer.
  package var waitShare: Double {
    let all = ranks.reduce(0) { $0 + $1.seconds }
    return all > 0 ? ranks.reduce(0) { $0 + $1.stateWaitSeconds } / all : 0
  }
}
