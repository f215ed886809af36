import Configuration
import Foundation
import MessagePassing
import Reporting

/// A run's log as the run's own console would show it.
struct RunView {
  private var console: Console?
  private let output: TerminalOutput

  init(_ output: TerminalOutput) { self.output = output }

  /// Shows an event.
  ///
  /// - Returns: Whether the run is through.
  mutating func show(_ event: RunRecord.Event, of record: RunRecord) -> Bool {
    switch event {
    case .start(let start):
      let keys = start.keys
      let console = Console(
        steps: start.steps ?? 0, every: Int(keys["log.every"] ?? "") ?? 0, output: output)
      console.banner(StartEvent(start, folder: record.folder))
      self.console = console
    case .step(let step): console?.step(StepReport(step))
    case .evaluation(let evaluation): console?.evaluation(EvaluationReport(evaluation))
    case .note(let note):
      switch note.kind {
      case "warning", "skip", "spike":
        console?.warning(note.kind == "warning" ? note.text : "step \(note.step): \(note.text)")
      case "checkpoint": console?.note("checkpoint after step \(note.step): \(note.text)")
      case "resume": console?.note("goes on after step \(note.step), from \(note.text)")
      default: console?.note("\(note.kind): \(note.text)")
      }
    case .trace(let path): console?.note("trace: \(path)")
    case .end(let end):
      console?.end(
        reason: end.reason, steps: end.steps, seconds: end.seconds, modelPath: nil,
        causes: end.causes)
      return end.reason == "finished"
    }
    return false
  }
}

extension StartEvent {
  /// A start as a log tells it; those of earlier releases have no model in words.
  init(_ start: RunRecord.Start, folder: String) {
    let keys = start.keys
    let length = Int(keys["sequence.length"] ?? "") ?? 0
    let files = keys["data.path"].map { $0 == "null" || $0 == "[]" ? "" : $0 } ?? ""
    self.init(
      configuration: JSONLine(), steps: start.steps ?? 0,
      batch: Int(keys["training.batch"] ?? "") ?? 0, length: length,
      model: start.model
        ?? "\(keys["model.mixer"] ?? "?"), \(Format.grouped(start.parameters)) parameters",
      data: start.data ?? (files.isEmpty ? "\(keys["data.task"] ?? "?") task" : files),
      tokens: start.tokens, folder: folder,
      hosts: start.hosts, threads: start.threads, parallelThreads: start.parallelThreads,
      sequenceRanks: start.sequenceRanks, dataGroups: start.dataGroups,
      shardLengths: [length / max(1, start.sequenceRanks)], parameters: start.parameters,
      frozenParameters: start.parameters - start.trainable, stepsDone: start.stepsDone,
      recallChance: start.recallChance ?? (files.isEmpty ? .nan : nil),
      task: keys["data.task"] ?? "task",
      expectedMemoryBytes: start.expectedMemory, blasCore: start.blasCore,
      sgemmPeak: start.sgemmPeak,
      products: Products(
        precision: start.precision, library: start.library, oneDNN: start.oneDNN))
  }
}

extension StepReport {
  /// A step as a log tells it.
  init(_ step: RunRecord.Step) {
    var sums = LossSums(
      loss: step.loss, targets: 1,
      terms: step.terms.sorted { $0.key < $1.key }.map {
        LossSums.Term($0.key, weight: 1, sum: $0.value)
      }
    )
    sums.inside = LossSums.Answers(share: step.recallInside)
    sums.crossing = LossSums.Answers(share: step.recallCrossing)
    // A summary stands for one rank that is as the mean.
    let ranks = max(1, step.stateWait.values.count)
    func value(_ figure: RankFigure, _ rank: Int) -> Double {
      figure.values.isEmpty ? figure.mean : Double(figure.values[rank])
    }
    func finite(_ value: Double) -> Double { value.isFinite ? value : 0 }
    let figures = (0..<ranks).map { rank in
      var figures = RankFigures()
      figures.seconds = finite(step.seconds)
      figures.computeSeconds = finite(value(step.compute, rank))
      figures.stateWaitSeconds = finite(value(step.stateWait, rank))
      figures.reduceSeconds = finite(value(step.reduce, rank))
      figures.dataSeconds = finite(value(step.data, rank))
      // Of what was under way in a second, the share that was waited for.
      figures.transferSeconds = step.hidden == nil ? 0 : 1
      figures.transferWaitSeconds = finite(step.hidden.map { 1 - $0 } ?? 0)
      let memory = step.memory.values.isEmpty ? step.memory.most : value(step.memory, rank)
      figures.peakMemoryBytes = Int(exactly: finite(memory).rounded()) ?? 0
      return figures
    }
    self.init(
      outcome: StepOutcome(
        step: step.number - 1, sums: sums, gradientNorm: step.gradientNorm,
        learningRate: step.learningRate), tokens: step.tokens, seconds: step.seconds,
      operations: step.gigaflops * step.seconds * 1e9, ranks: figures)
  }
}

extension LossSums.Answers {
  /// Answers of which a share is right.
  fileprivate init(share: Double?) {
    guard let share, share.isFinite else {
      self.init()
      return
    }
    self.init(right: Int((share * 1e6).rounded()), asked: 1_000_000)
  }
}

extension EvaluationReport {
  /// An evaluation as a log tells it.
  init(_ evaluation: RunRecord.Evaluation) {
    // The log has means; sums over so many targets give them back.
    let targets = evaluation.bytes == nil ? 1 : evaluation.tokens
    var sums = LossSums(loss: evaluation.loss * Double(targets), targets: targets)
    sums.bytes = evaluation.bytes ?? (evaluation.bitsPerByte == nil ? 0 : 1)
    sums.inside = LossSums.Answers(share: evaluation.recallInside)
    sums.crossing = LossSums.Answers(share: evaluation.recallCrossing)
    self.init(
      step: evaluation.step, sums: sums, seconds: evaluation.seconds,
      recallChance: evaluation.recallInside == nil && evaluation.recallCrossing == nil ? nil : .nan)
  }
}
