import DataParallel
import Measurement
import Optimizers
import Tensors

/// The update rules over the parameters that this rank updates, with their state and the schedule.
package final class FlatOptimizer {
  /// What a rule keeps for the parameters that this rank updates.
  package struct State {
    /// Its name in checkpoints.
    package let name: String
    /// All parameters that have it, of any rank.
    package let parameters: IndexRanges
    /// The numbers of those that this rank updates, one after another.
    package let numbers: Buffer
    /// Where the numbers of each part begin that this rank updates.
    fileprivate let offsets: [Int]
  }

  /// Steps that were done when the states began, as zeros, and those that were skipped since.
  package var stateStart: Int
  /// The learning rate of each step of the stage.
  private let schedule: LearningRateSchedule
  /// Steps that were done when the stage began.
  private let start: Int
  /// What the rules keep, in the order in which checkpoints hold it.
  package let states: [State]
  private let rules: UpdateRules
  /// For each rule its states' numbers, in the order of its names.
  private let statesOfRule: [[Int]]
  private let decay: WeightDecay
  private let clip: Double

  /// Makes an optimizer with a state of zero.
  ///
  /// - Parameters:
  ///   - store: The parameters, cut so that the rules' matrices are whole.
  ///   - start: Steps of the run that are done when its first step comes.
  package init(
    _ configuration: RunConfiguration, rules: UpdateRules, groups: ParameterGroups,
    store: DistributedParameters, workspace: Workspace, start: Int = 0
  ) {
    (self.start, stateStart) = (start, start)
    let section = configuration.optimizer
    schedule = LearningRateSchedule(
      configuration.schedule, peak: section.learningRate, steps: configuration.training.steps)
    decay = WeightDecay(
      store.table, factor: section.weightDecay, norms: section.decayNorms,
      embeddings: section.decayEmbeddings, groups: groups)
    clip = section.clip
    self.rules = rules
    statesOfRule = rules.rules.map { rule in
      rule.stateNames.map { name in rules.states.firstIndex { $0.name == name }! }
    }
    states = rules.states.map { state in
      var (offsets, count): ([Int], Int) = ([], 0)
      for part in store.updated {
        offsets.append(count)
        count += state.parameters.count(in: part.range)
      }
      let numbers = Buffer(count: count, pool: workspace.pool, kind: .optimizer)
      workspace.compute(.optimizer) { numbers.pointer.update(repeating: 0, count: count) }
      return State(
        name: state.name, parameters: state.parameters, numbers: numbers, offsets: offsets)
    }
  }

  /// Lets states begin anew, as zeros, after so many steps of the run.
  func forget(at done: Int) {
    stateStart = done
    for state in states { state.numbers.pointer.update(repeating: 0, count: state.numbers.count) }
  }

  /// Takes note of a step without an update: what the rules keep has seen one step less than the run.
  func skip() { stateStart += 1 }

  /// The learning rate of a step of the run, counted from 0.
  package func learningRate(at step: Int) -> Double { schedule.rate(at: step - start) }

  /// Updates the weights that this rank updates; scaling and clipping are part of it.
  ///
  /// - Parameters:
  ///   - step: Counted from 0.
  ///   - scale: What turns gradient sums into the gradient of the mean loss.
  ///   - norm: The gradient's norm after that.
  /// - Returns: Whether all weights and states that it wrote are finite.
  @discardableResult
  package func update(
    _ store: DistributedParameters, step: Int, scale: Double, norm: GradientNorm,
    workspace: Workspace
  ) -> Bool {
    FaultPoint.reach("update")
    var isFinite = true
    let gradientScale = scale * norm.clippingScale(limit: clip)
    for (index, part) in store.updated.enumerated() {
      for piece in rules.pieces(of: part.range) {
        let rule = rules.rules[piece.rule]
        let offset = piece.range.lowerBound - part.range.lowerBound
        let now = UpdateStep(
          number: step - stateStart + 1,
          learningRate: learningRate(at: step) * piece.learningRateFactor,
          decay: decay, gradientScale: gradientScale)
        let scratch = piece.matrix.map {
          Buffer(
            count: rule.scratchCount(rows: $0.rows, columns: $0.columns), pool: workspace.pool,
            kind: .buffers)
        }
        let slice = UpdateSlice(
          range: piece.range, weights: part.values + offset,
          gradients: UnsafePointer(part.gradients + offset),
          state: statesOfRule[piece.rule].map {
            numbers(of: states[$0], at: piece.range.lowerBound, in: part.range, index)
          }, matrix: piece.matrix, scratch: scratch?.pointer)
        // The weight and each state are read and written, the gradient is read.
        workspace.counters.note(
          .optimizer, bytes: 4 * piece.range.count * (3 + 2 * slice.state.count))
        workspace.compute(.optimizer) {
          if !rule.update(slice, now, team: workspace.team) { isFinite = false }
        }
      }
    }
    return isFinite
  }

  /// For each part that this rank updates, and each range in it that has a state: the range, and its numbers.
  package func ranges(
    of state: State, in store: DistributedParameters
  ) -> [(range: Range<Int>, numbers: UnsafeMutablePointer<Float>)] {
    store.updated.enumerated().flatMap { index, part in
      state.parameters.pieces(of: part.range).map {
        ($0, numbers(of: state, at: $0.lowerBound, in: part.range, index))
      }
    }
  }

  private func numbers(
    of state: State, at index: Int, in part: Range<Int>, _ partIndex: Int
  ) -> UnsafeMutablePointer<Float> {
    state.numbers.pointer + state.offsets[partIndex]
      + state.parameters.count(in: part.lowerBound..<index)
  }
}
