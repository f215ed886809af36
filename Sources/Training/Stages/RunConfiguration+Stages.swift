import Configuration
import Models
import Optimizers

/// The stages of a run, which follow one another; one where `linearise.stages` names none.
extension RunConfiguration {
  /// How many there are.
  package var stageCount: Int { max(1, linearise.stages.count) }

  /// The run as it is in one of its stages, as if it had no other: with its steps and learning rate, what it trains, and the
  /// groups that hold in it.
  ///
  /// - Parameter index: Counted from 0.
  package func stage(_ index: Int) -> RunConfiguration {
    precondition((0..<stageCount).contains(index), "stage \(index) of \(stageCount)")
    guard !linearise.stages.isEmpty else { return self }
    let stage = linearise.stages[index]
    var run = self
    run.linearise.stages = []
    run.linearise.stage = stage.stage
    run.linearise.frozen = stage.frozen
    run.training.steps = stage.steps
    // Where layers learn from attention, no distribution is formed.
    if stage.stage == .transfer { run.distillation = DistillationSection() }
    if let weight = stage.distillation { run.distillation.weight = weight }
    if let rate = stage.learningRate {
      run.optimizer.learningRate = rate
    } else if stage.stage == .transfer, !document.isGiven(Self.rate) {
      run.optimizer.learningRate = LineariseSection.transferRate
    }
    if let warmup = stage.warmup { run.schedule.warmup = warmup }
    run.optimizer.groups = optimizer.groups.filter {
      $0.stages.isEmpty || $0.stages.contains(index + 1)
    }
    return run
  }

  /// Steps of the stages after one, at most.
  ///
  /// - Parameter index: Counted from 0.
  func stepsAfter(stage index: Int) -> Int {
    linearise.stages.dropFirst(index + 1).reduce(0) { $0 + $1.steps }
  }

  /// Schedules that are longer than their stage, and groups of stages that there are not.
  var problemsOfStages: [KeyProblem] {
    let count = linearise.stages.count
    if let index = optimizer.groups.firstIndex(where: { $0.stages.contains { $0 > count } }) {
      return [
        KeyProblem(
          "optimizer.groups", "linearise.stages",
          message: "item \(index + 1) holds in a stage that the run does not have; "
            + (count == 0 ? "give linearise.stages" : "the stages are 1 to \(count)"))
      ]
    }
    for index in 0..<stageCount {
      let stage = self.stage(index)
      let found = Self.problems(
        stage.schedule, steps: stage.training.steps,
        of: count == 0 ? "the run" : "stage \(index + 1)",
        key: count == 0 ? "training.steps" : "linearise.stages")
      if !found.isEmpty { return found }
    }
    return []
  }

  private static func problems(
    _ schedule: ScheduleSection, steps: Int, of whom: String, key: String
  ) -> [KeyProblem] {
    let decay = schedule.course == .wsd ? schedule.decaySteps(of: steps) : 0
    guard schedule.decay > 0, schedule.warmup + decay > steps else { return [] }
    return [
      KeyProblem(
        "schedule.decay", "schedule.warmup", key,
        message: "\(schedule.warmup) steps of warmup and \(decay) of decay are more than \(whom)'s "
          + "\(steps); shorten them or run more steps")
    ]
  }
}

extension ConfigurationDocument {
  /// Makes the run as long as its stages together.
  ///
  /// - Returns: What is wrong where it was said to be of another length.
  mutating func sumSteps(
    of stages: [LineariseStage], in training: inout TrainingSection
  ) -> [KeyProblem] {
    let (key, given) = ("training.steps", training.steps)
    let sum = stages.reduce(0) { $0 + $1.steps }
    guard sum > 0 else { return [] }
    guard !isGiven(key) || given == sum else {
      return [
        KeyProblem(
          key, "linearise.stages",
          message:
            "\(given) steps are not the \(sum) of linearise.stages together; remove training.steps")
      ]
    }
    training.steps = sum
    apply([Override("\(key)=\(sum)")])
    return []
  }
}
