import Foundation
import Reporting

/// Tells, once, that a loss is above what guessing has, which a model that learns leaves behind in its first steps.
struct LossLevels {
  /// Nats of a guess among all tokens.
  private let chance: Double
  /// Steps in a row that are long.
  private let window: Int
  private var inARow = 0
  private var hasWarned = false

  /// - Parameter window: Steps in a row above chance that are told of.
  init(vocabulary: Int, window: Int) {
    chance = log(Double(max(vocabulary, 2)))
    self.window = window
  }

  /// Takes note of a step's loss; gives whether it is to be told of.
  mutating func note(_ loss: Double) -> Bool {
    inARow = loss > 1.05 * chance ? inARow + 1 : 0
    guard inARow >= window, !hasWarned else { return false }
    hasWarned = true
    return true
  }

  /// Takes note of an evaluation's loss, which is told of where it is far above chance.
  mutating func noteEvaluation(_ loss: Double) -> Bool {
    guard loss > 2 * chance, !hasWarned else { return false }
    hasWarned = true
    return true
  }

  /// What is to be told of a step.
  func sentence(step: Int) -> String {
    "the loss has been above that of guessing, \(Format.fixed(chance)), for \(inARow) steps up to step \(step); "
      + Self.cure
  }

  /// What is to be told of an evaluation.
  func sentence(evaluation loss: Double, step: Int) -> String {
    "the evaluation after step \(step) has a loss of \(Format.fixed(loss)), far above that of guessing, "
      + "\(Format.fixed(chance)); \(Self.cure)"
  }

  private static let cure =
    "the model does not learn: lower optimizer.learning_rate, lengthen schedule.warmup, or look at the data"
}
