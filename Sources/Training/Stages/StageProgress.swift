import Checkpoints
import Models
import Reporting

/// Where a run stands among its stages: the one that is trained, when it began, and what may end it early.
///
/// All of it lies in a checkpoint, so that a run that goes on decides as the one that was interrupted.
struct StageProgress {
  private let configuration: RunConfiguration
  /// As a checkpoint holds it.
  private(set) var place: TrainingState.Stage
  /// Why the stage before has ended; nil where nobody has just seen that.
  private(set) var reason: StageEnd?

  /// A run before its first step.
  init(_ configuration: RunConfiguration) {
    (self.configuration, place) = (configuration, TrainingState.Stage())
  }

  /// A run that goes on from a checkpoint: in its stage, or in the next where that one has ended.
  ///
  /// - Throws: `CheckpointError` for a stage that the run does not have, and for none where it has stages.
  init(
    _ configuration: RunConfiguration, from state: TrainingState, in path: String
  ) throws(CheckpointError) {
    self.init(configuration)
    // Without stages a run may go on from any checkpoint, with all that is trained now.
    guard hasStages else { return }
    guard let place = state.stage else {
      throw .unsupported(
        path: path,
        reason: "it was written by a run without linearise.stages; go on without them, or start a "
          + "run from its weights with model.from")
    }
    guard place.index < configuration.stageCount else {
      throw .unsupported(
        path: path,
        reason: "it was written in stage \(place.index + 1), but linearise.stages has "
          + "\(configuration.stageCount); go on with the stages that it was written with")
    }
    self.place = place
    if let end = end(after: state.step), !isLast { begin(after: end, at: state.step) }
  }

  /// Whether the run file names stages.
  var hasStages: Bool { !configuration.linearise.stages.isEmpty }

  /// Whether none comes after this one.
  var isLast: Bool { place.index == configuration.stageCount - 1 }

  /// The run as it is in this stage.
  var stage: RunConfiguration { configuration.stage(place.index) }

  /// Steps of the run up to the end of this stage and with all of those after it, at most.
  var steps: Int {
    place.start + stage.training.steps + configuration.stepsAfter(stage: place.index)
  }

  /// Whether losses may end it early.
  var hasRule: Bool { memory > 0 }

  private var memory: Int { hasStages ? configuration.linearise.stages[place.index].memory : 0 }

  /// Takes note of a step's loss.
  mutating func add(loss: Double) {
    guard hasRule, loss.isFinite else { return }
    place.losses = place.losses.suffix(memory - 1) + [loss]
  }

  /// Why the stage ends after so many steps of the run; nil where it goes on.
  func end(after done: Int) -> StageEnd? {
    if done - place.start >= stage.training.steps { return .steps(stage.training.steps) }
    return hasStages ? configuration.linearise.stages[place.index].end(after: place.losses) : nil
  }

  /// Begins the next stage.
  mutating func begin(after end: StageEnd, at done: Int) {
    place = TrainingState.Stage(index: place.index + 1, start: done)
    reason = end
  }

  /// What log and console tell of it when it begins.
  func event(_ run: TrainingRun, done: Int) -> StageEvent {
    StageEvent(
      number: place.index + 1, stages: configuration.stageCount,
      kind: stage.linearise.stage.rawValue, step: done, start: place.start,
      steps: stage.training.steps, learningRate: stage.optimizer.learningRate,
      parameters: run.model.table.count, frozenParameters: run.model.table.frozenCount,
      reason: reason?.description)
  }
}
