import Configuration
import Foundation

/// A run in a few figures.
package struct RunFigures: Sendable {
  /// The folder, and what it is called among others.
  package let folder, name: String
  package let state: RunState
  /// The run file as keys and values, by key; empty before the run began.
  package let keys: [String: String]
  /// Weights of the model; nil before the run began.
  package let parameters: Int?
  /// Ranks that it was last started on; nil before the run began.
  package let ranks: Int?
  /// Steps done, and those of the whole run where they are known.
  package let stepsDone: Int
  package let steps: Int?
  /// Tokens that it was trained on so far.
  package let tokens: Int
  /// Loss of the last step, in nats.
  package let loss: Double?
  /// The last evaluation, and the least loss of any.
  package let last: RunRecord.Evaluation?
  package let best: Double?
  /// Tokens over seconds of all steps but the first, evaluations left out; nil before there is a step.
  package let tokensPerSecond: Double?
  /// Seconds of all steps.
  package let seconds: Double

  /// The figures of a run as far as it is.
  ///
  /// - Parameter name: What it is called; its folder's own name unless given.
  package init(_ record: RunRecord, named name: String? = nil) {
    folder = record.folder
    self.name = name ?? record.name
    state = RunState(record)
    keys = record.start?.keys ?? [:]
    parameters = record.start?.parameters
    ranks = record.start?.ranks
    stepsDone = record.steps.last?.number ?? record.start?.stepsDone ?? 0
    steps = record.start?.steps
    tokens = stepsDone * (record.start?.tokensPerStep ?? 0)
    loss = record.steps.last.flatMap { $0.loss.isFinite ? $0.loss : nil }
    let evaluations = record.evaluations.filter(\.loss.isFinite)
    last = evaluations.last
    best = evaluations.map(\.loss).min()
    // The first touches memory that is not there yet.
    let counted = record.steps.count > 1 ? record.steps.dropFirst() : record.steps[...]
    let seconds = counted.reduce(0) { $0 + ($1.seconds.isFinite ? $1.seconds : 0) }
    tokensPerSecond =
      seconds > 0 ? Double(counted.reduce(0) { $0 + $1.tokens }) / seconds : nil
    self.seconds = record.steps.reduce(0) { $0 + ($1.seconds.isFinite ? $1.seconds : 0) }
  }

  /// `model.mixer`; the first of the blocks' where these are named.
  package var mixer: String { keys["model.mixer"] ?? "–" }
}

/// What is measured of a run, and compared between runs.
package struct RunMeasure: Sendable {
  /// Its name in JSON, and as people read it.
  package let key, title: String
  /// A whole number or so, which tables shorten.
  let isCount: Bool
  /// Its value; nil where the run has none.
  package let value: @Sendable (RunFigures) -> Double?

  /// All measures, in the order of a table.
  package static let all: [RunMeasure] = [
    RunMeasure(key: "parameters", title: "params", isCount: true) {
      $0.parameters.map(Double.init)
    },
    RunMeasure(key: "tokens", title: "tokens", isCount: true) {
      $0.parameters == nil ? nil : Double($0.tokens)
    },
    RunMeasure(key: "held_out_loss", title: "held out", isCount: false) { $0.last?.loss },
    RunMeasure(key: "bits_per_byte", title: "bits/byte", isCount: false) { $0.last?.bitsPerByte },
    RunMeasure(key: "perplexity", title: "perplexity", isCount: false) {
      $0.last?.bitsPerByte == nil ? $0.last?.perplexity : nil
    },
    RunMeasure(key: "recall_inside", title: "inside", isCount: false) { $0.last?.recallInside },
    RunMeasure(key: "recall_crossing", title: "cross", isCount: false) { $0.last?.recallCrossing },
    RunMeasure(key: "tokens_per_second", title: "tok/s", isCount: true) { $0.tokensPerSecond },
  ]
}
