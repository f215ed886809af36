import Configuration
import Files
import Foundation
import TensorBoard

/// `lasp-train log --tensorboard`: event files made of logs that are there.
package enum BoardConversion {
  /// Makes the event file of a run anew from its log.
  ///
  /// - Returns: Where it lies, and how many steps it has.
  /// - Throws: `ObservationError`; `FileError`.
  package static func write(run: String) throws -> (path: String, steps: Int) {
    let record = try LogFollower.read(run: run)
    let begin = Moment.seconds(record.start?.time ?? record.lastTime)
    let file = try EventFile(run: record.folder, stepsDone: 0, time: begin)
    if let start = record.start {
      try file.add(
        text: EventFile.code(String(decoding: start.configuration.encoded, as: UTF8.self)),
        named: "run file", step: 0, time: begin)
    }
    // In the order of their steps, as a run writes them.
    var evaluations = record.evaluations[...]
    for start in stride(from: 0, to: record.steps.count, by: 256) {
      let steps = record.steps[start..<min(start + 256, record.steps.count)]
      try file.add(steps.map(BoardStep.init))
      while let next = evaluations.first, next.step <= steps.last?.number ?? 0 {
        try file.add(BoardEvaluation(next))
        evaluations = evaluations.dropFirst()
      }
    }
    for evaluation in evaluations { try file.add(BoardEvaluation(evaluation)) }
    return (file.path, record.steps.count)
  }
}

extension BoardStep {
  init(_ step: RunRecord.Step) {
    self.init(
      number: step.number, time: step.time, loss: step.loss, gradientNorm: step.gradientNorm,
      learningRate: step.learningRate, tokensPerSecond: step.tokensPerSecond,
      gigaflops: step.gigaflops)
    terms = step.terms
    (recallInside, recallCrossing) = (step.recallInside, step.recallCrossing)
    stateWaits = step.stateWait.values.map { Double($0) / step.seconds }
    sumWaits = step.reduce.values.map { Double($0) / step.seconds }
    memory = step.memory.most
  }
}

extension BoardEvaluation {
  init(_ evaluation: RunRecord.Evaluation) {
    self.init(step: evaluation.step, time: evaluation.time, loss: evaluation.loss)
    (bitsPerByte, perplexity) = (evaluation.bitsPerByte, evaluation.perplexity)
    (recallInside, recallCrossing) = (evaluation.recallInside, evaluation.recallCrossing)
  }
}
