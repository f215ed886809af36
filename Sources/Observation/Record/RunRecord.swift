import Configuration
import Foundation
import Reporting

/// A run as its log tells it, read so far: the events of `log.jsonl`, as `Docs/Log.md` describes them.
///
/// What the log does not hold is left out: a log of an older version, or of a run that has only begun, is good too.
package struct RunRecord: Sendable {
  /// The run's folder.
  package let folder: String
  /// What it said when it began last; nil before.
  package private(set) var start: Start?
  /// Its steps by number; those that a run going on from a checkpoint did anew stand once.
  package private(set) var steps: [Step] = []
  /// Its evaluations by step.
  package private(set) var evaluations: [Evaluation] = []
  /// What else happened, in order.
  package private(set) var notes: [Note] = []
  /// How it ended; nil for a run that goes on, or was killed.
  package private(set) var end: End?
  /// Where a timeline of some steps lies; nil for none.
  package private(set) var trace: String?
  /// When the last event was written: ISO 8601; nil before the first.
  package private(set) var lastTime: String?
  /// Lines that are no events.
  package private(set) var oddLines = 0

  /// A record that is empty yet.
  package init(folder: String) { self.folder = folder }

  /// The last part of the folder's name, by which people know the run.
  package var name: String {
    let path = URL(fileURLWithPath: folder).standardizedFileURL.lastPathComponent
    return path.isEmpty ? folder : path
  }

  /// What a run says when it starts.
  package struct Start: Sendable {
    package let time, version: String
    package let hosts: [String]
    package let ranks, threads, sequenceRanks, dataGroups: Int
    package let parameters, trainable, tokensPerStep, stepsDone: Int
    /// Bytes that the largest rank was expected to need; nil where it is not told.
    package let expectedMemory: Int?
    /// What computes products, and in which precision.
    package let products: String
    /// Version of oneDNN; nil where the program has none.
    package let oneDNN: String?
    /// `fp32` or `bf16`, and the library.
    package let precision, library: String
    /// Threads of all ranks that can run at once, and the speed of products on one, in GFLOP/s; nil where not measured.
    package let parallelThreads: Int
    package let sgemmPeak: Double?
    package let blasCore: String
    /// Model, data and their tokens in words; nil in logs of earlier releases.
    package let model, data, tokens: String?
    /// Share of right answers by guessing; nil where nothing is asked, or it is not told.
    package let recallChance: Double?
    /// The run file, with all keys.
    package let configuration: JSONValue
  }

  /// A step.
  package struct Step: Sendable {
    package let number: Int
    /// When it was done: seconds since 1970.
    package let time: Double
    package let loss, gradientNorm, learningRate, tokensPerSecond, seconds, gigaflops: Double
    package let tokens: Int
    /// What is added to the loss, by name: weight times mean.
    package let terms: [String: Double]
    /// Seconds of the ranks: computing, waiting for states, waiting for sums, and preparing tokens.
    package let compute, stateWait, reduce, data: RankFigure
    /// Seconds of computing for which the ranks had a core; nil in logs of earlier releases.
    package let processor: RankFigure?
    /// Most memory of each rank so far, in bytes.
    package let memory: RankFigure
    /// Bytes that the ranks sent: states, headers and halos, gradients, weights.
    package let stateBytes, haloBytes, gradientBytes, weightBytes: RankFigure
    /// Share of sums of gradients that computing hid.
    package let hidden: Double?
    /// Shares of right answers; nil where nothing is asked.
    package let recallInside, recallCrossing: Double?
  }

  /// An evaluation.
  package struct Evaluation: Sendable {
    package let step: Int
    /// When it was: seconds since 1970.
    package let time: Double
    package let loss: Double
    package let bitsPerByte, perplexity, recallInside, recallCrossing: Double?
    /// Targets, and bytes of text that they stand for; nil where the log does not tell.
    package let tokens: Int
    package let bytes: Int?
    package let seconds: Double
  }

  /// Anything else.
  package struct Note: Sendable {
    /// The event's name.
    package let kind: String
    package let time, text: String
    /// Steps done.
    package let step: Int
  }

  /// The end.
  package struct End: Sendable {
    package let reason: String
    package let steps: Int
    package let seconds: Double
    /// What made the run slow, a sentence each.
    package let causes: [String]
  }

  /// What a line of the log tells.
  package enum Event: Sendable {
    case start(Start)
    case step(Step)
    case evaluation(Evaluation)
    case note(Note)
    case trace(path: String)
    case end(End)
  }

  /// Takes a line of the log.
  ///
  /// - Returns: What it tells; nil where it is no event.
  @discardableResult
  package mutating func take(line: some StringProtocol) -> Event? {
    guard let json = try? JSONValue(Data(line.utf8)), let kind = json["event"]?.string else {
      oddLines += 1
      return nil
    }
    lastTime = json["time"]?.string ?? lastTime
    switch kind {
    case "start":
      let start = Start(json)
      begin(start)
      return .start(start)
    case "step":
      let step = Step(json, ranks: start?.ranks ?? 1)
      add(step)
      return .step(step)
    case "evaluation":
      let evaluation = Evaluation(json)
      evaluations.removeAll { $0.step >= evaluation.step }
      evaluations.append(evaluation)
      return .evaluation(evaluation)
    case "end":
      let end = End(
        reason: json["reason"]?.string ?? "ended", steps: json["steps"]?.integer ?? 0,
        seconds: json["seconds"]?.number ?? .nan,
        causes: (json["slow"]?.array ?? []).compactMap(\.string))
      self.end = end
      notes += end.causes.map {
        Note(kind: "slow", time: lastTime ?? "", text: $0, step: end.steps)
      }
      return .end(end)
    case "trace":
      trace = json["path"]?.string
      return trace.map { .trace(path: $0) }
    default:
      let note = Note(kind, json, stepsDone: steps.last?.number ?? start?.stepsDone ?? 0)
      notes.append(note)
      return .note(note)
    }
  }

  /// A run begins, or goes on: what it had done after the step that it goes on from is done anew.
  private mutating func begin(_ next: Start) {
    start = next
    end = nil
    while let last = steps.last, last.number > next.stepsDone { steps.removeLast() }
    evaluations.removeAll { $0.step > next.stepsDone }
  }

  private mutating func add(_ step: Step) {
    guard step.number > 0 else { return }
    while let last = steps.last, last.number >= step.number { steps.removeLast() }
    steps.append(step)
  }
}

/// A figure of all ranks in a step: each rank's value, or only the least, the median and the most of them.
package struct RankFigure: Sendable, Equatable {
  /// Each rank's value in rank order; empty where the log has only a summary, or no more is kept.
  package let values: [Float]
  package let mean, least, median, most: Double
  /// The first ranks with the least and the most.
  package let leastRank, mostRank: Int
  /// How many ranks there are.
  package let ranks: Int

  /// Every rank's value; not a number where there is none.
  package init(_ values: [Double]) { self.init(values, keepsValues: true) }

  private init(_ values: [Double], keepsValues: Bool) {
    self.values = keepsValues ? values.map { Float($0) } : []
    ranks = values.count
    guard let summary = RankSummary(values) else {
      (mean, least, median, most) = (.nan, .nan, .nan, .nan)
      (leastRank, mostRank) = (0, 0)
      return
    }
    (mean, least, median, most) = (summary.mean, summary.least, summary.median, summary.most)
    (leastRank, mostRank) = (summary.leastRank, summary.mostRank)
  }

  /// What a log has under a key: a list, or a summary.
  ///
  /// - Parameters:
  ///   - ranks: How many a summary is of.
  ///   - keepsValues: Whether each rank's value is wanted: in a long log of many ranks they are most of it.
  init(_ json: JSONValue?, ranks: Int = 1, keepsValues: Bool = true) {
    guard let json, json.object != nil else {
      self.init((json?.array ?? []).map { $0.number ?? .nan }, keepsValues: keepsValues)
      return
    }
    self.init(summary: json, ranks: ranks)
  }

  private init(summary json: JSONValue, ranks: Int) {
    func number(_ key: String) -> Double { json[key]?.number ?? .nan }
    values = []
    (mean, least, median, most) = (
      number("mean"), number("least"), number("median"), number("most")
    )
    leastRank = json["least_rank"]?.integer ?? 0
    mostRank = json["most_rank"]?.integer ?? 0
    self.ranks = ranks
  }

  /// Over all ranks; 0 where there is no figure.
  package var sum: Double { mean.isFinite ? mean * Double(ranks) : 0 }
}
