import Configuration
import Files
import Foundation
import Reporting
import TensorBoard

/// A run's events for TensorBoard; a disk that takes none of them costs the events, and not the run.
final class RunBoard {
  /// Why there is none from the start; nil where there is.
  let problem: String?
  private var file: EventFile?

  /// Begins the file, or goes on with that of a run that is resumed, with the run file as text.
  init(folder: String, _ start: StartEvent) {
    let now = Date().timeIntervalSince1970
    do throws(FileError) {
      let file = try EventFile(run: folder, stepsDone: start.stepsDone, time: now)
      try file.add(
        text: EventFile.code(
          String(decoding: start.configuration.value.encoded, as: UTF8.self)),
        named: "run file", step: start.stepsDone, time: now)
      (self.file, problem) = (file, nil)
    } catch {
      (file, problem) = (nil, Self.sentence(error))
    }
  }

  /// Adds a step.
  ///
  /// - Returns: What is to be warned of: from then on nothing is written.
  func add(_ report: StepReport, chance: Double?) -> String? {
    trying { (file) throws(FileError) in try file.add(BoardStep(report, chance: chance)) }
  }

  /// Adds an evaluation.
  func add(_ report: EvaluationReport) -> String? {
    trying { (file) throws(FileError) in try file.add(BoardEvaluation(report)) }
  }

  private func trying(_ body: (EventFile) throws(FileError) -> Void) -> String? {
    guard let file else { return nil }
    do throws(FileError) {
      try body(file)
      return nil
    } catch {
      self.file = nil
      return Self.sentence(error)
    }
  }

  private static func sentence(_ error: FileError) -> String {
    "\(error); the run goes on without TensorBoard's events, and lasp-train log --tensorboard makes them of its log later"
  }
}

extension BoardStep {
  init(_ report: StepReport, chance: Double?) {
    let outcome = report.outcome
    self.init(
      number: outcome.step + 1, time: Date().timeIntervalSince1970, loss: outcome.loss,
      gradientNorm: outcome.gradientNorm, learningRate: outcome.learningRate,
      tokensPerSecond: report.tokensPerSecond, gigaflops: report.gigaflops)
    for term in outcome.sums.terms { terms[term.name] = term.weight * outcome.sums.mean(term) }
    if chance != nil {
      (recallInside, recallCrossing) = (
        outcome.sums.inside.accuracy, outcome.sums.crossing.accuracy
      )
    }
    stateWaits = report.ranks.map { $0.stateWaitSeconds / report.seconds }
    sumWaits = report.ranks.map { $0.reduceSeconds / report.seconds }
    memory = report.ranks.map { Double($0.peakMemoryBytes) }.max()
  }
}

extension BoardEvaluation {
  init(_ report: EvaluationReport) {
    self.init(step: report.step, time: Date().timeIntervalSince1970, loss: report.loss)
    (bitsPerByte, perplexity) = (report.bitsPerByte, report.perplexity)
    guard report.recallChance != nil else { return }
    (recallInside, recallCrossing) = (report.sums.inside.accuracy, report.sums.crossing.accuracy)
  }
}
