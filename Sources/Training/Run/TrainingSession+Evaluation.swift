import Corpora
import Faults
import Foundation
import MessagePassing
import Reporting

/// How a run evaluates what it has learnt.
extension TrainingSession {
  /// Whether the stage at hand minimises a loss of predicted tokens.
  var predictsTokens: Bool { run.configuration.linearise.transfer == nil }

  /// Evaluates; gives whether it came to its end before any rank was asked to stop.
  func evaluate(until isAskedToStop: () -> Bool) throws -> Bool {
    guard let corpus = evaluationCorpus else {
      history.evaluationIsDue = false
      return true
    }
    Phase.enter("the evaluation after step", done)
    try run.checkWeights()
    let started = ProcessInfo.processInfo.systemUptime
    let steps = configuration.evaluation.steps(of: corpus)
    let bar = outputs?.console.evaluationProgress(step: done)
    defer { bar?.end() }
    var evaluated = 0
    func isAsked() -> Bool {
      evaluated += 1
      bar?.show(Double(evaluated), of: Double(steps))
      return isAskedToStop()
    }
    guard let sums = try run.evaluate(corpus, steps: steps, until: isAsked) else {
      return false
    }
    bar?.end()
    guard sums.isFinite else {
      throw TrainingError.evaluationNotFinite(step: done, loss: sums.loss)
    }
    history.evaluationIsDue = false
    if sums.targets > 0 { history.evaluationLoss = sums.loss / Double(sums.targets) }
    guard let outputs else { return true }
    if sums.targets == 0, !hasWarnedOfNoTarget.inEvaluation {
      hasWarnedOfNoTarget.inEvaluation = true
      try warn("the evaluation after step \(done) had no token to predict, and so has no loss")
    }
    let report = EvaluationReport(
      step: done, sums: sums, seconds: ProcessInfo.processInfo.systemUptime - started,
      predictsTokens: predictsTokens, recallChance: chance)
    try outputs.log.evaluation(report)
    outputs.console.evaluation(report)
    try outputs.board?.add(report).map { try warn($0) }
    if predictsTokens, levels.noteEvaluation(report.loss) {
      try warn(levels.sentence(evaluation: report.loss, step: done))
    }
    return true
  }
}
