import Configuration
import MessagePassing
import Models
import SequenceParallel
import Tensors

@testable import Training

/// A run on the recall task that is so small that many of them take a second.
struct SmallRun: Sendable {
  let configuration: RunConfiguration

  /// The run, with keys changed.
  init(_ overrides: String...) throws { try self.init(overrides) }

  /// The run, with keys changed.
  ///
  /// - Parameters:
  ///   - steps: Its steps; nil for what the keys say.
  ///   - rate: Its learning rate; nil for what the keys say.
  init(_ overrides: [String], steps: Int? = 50, rate: Double? = 1e-3) throws {
    let small =
      [
        "threads=1", "model.dimension=16", "model.depth=2", "model.heads=2", "model.glu=24",
        "model.init_std=0.1", "sequence.length=61", "training.batch=4",
        "schedule.warmup=5", "log.every=1000000",
      ]
      + (steps.map { ["training.steps=\($0)"] } ?? [])
      + (rate.map { ["optimizer.learning_rate=\($0)"] } ?? [])
    // A model that comes from a folder says itself what it is.
    let isFromFolder = overrides.contains { $0.hasPrefix("model.from=") }
    let own = small.filter { !(isFromFolder && $0.hasPrefix("model.")) }
    configuration = try RunConfiguration.load(overrides: (own + overrides).map { Override($0) })
  }

  /// What a rank ends with.
  struct Result: Sendable, Equatable {
    var losses: [Double] = []
    var norms: [Double] = []
    /// Means of the terms of the loss, step by step.
    var terms: [Double] = []
    var weights: [Float] = []
    /// Bytes sent in the last step.
    var gradientBytes = 0
    var stateBytes = 0
    /// Numbers of all parameters.
    var parameters = 0
  }

  /// A rank's part, with the weights that the seed gives.
  ///
  /// - Parameter objective: What is minimised; nil for what the run file says.
  func make(on world: any Communicator, objective: (any Objective)? = nil) throws -> TrainingRun {
    let setup = try RunSetup(configuration)
    let run = try TrainingRun(
      configuration, corpus: setup.corpus, model: setup.model, teacher: setup.teacherModel,
      objective: objective, world: world,
      workspace: Workspace(products: configuration.products()),
      exchange: configuration.parallel.exchange.kind ?? .chain)
    if let folder = setup.teacher { try run.teacher?.readWeights(folder) }
    run.initializeWeights()
    return run
  }

  /// Trains all steps on this rank.
  func train(on world: any Communicator) throws -> Result {
    let run = try make(on: world)
    var result = Result(parameters: run.model.table.count)
    for step in 0..<configuration.training.steps {
      run.context.counters.reset()
      let outcome = try run.step(step)
      result.losses.append(outcome.loss)
      result.norms.append(outcome.gradientNorm)
      result.terms += outcome.sums.terms.map(outcome.sums.mean)
    }
    result.gradientBytes = run.context.counters.gradientBytesSent
    result.stateBytes = run.context.counters.stateBytesSent
    try run.store.settle(polling: run.context.workspace.poll)
    result.weights = run.weights
    return result
  }

  /// Trains all steps on ranks that are threads.
  func train(ranks: Int) throws -> [Result] {
    try ThreadCommunicator.run(ranks: ranks, deadline: 60) { try train(on: $0) }
  }
}

extension TrainingRun {
  /// A copy of the weights that this rank keeps: all, unless they are cut.
  var weights: [Float] {
    store.kept.flatMap { UnsafeBufferPointer(start: $0.values, count: $0.range.count) }
  }
}

/// The greatest difference of two curves at any step, relative to the second.
func greatestDifference(_ a: [Double], _ b: [Double]) -> Double {
  precondition(a.count == b.count, "\(a.count) and \(b.count) steps")
  return zip(a, b).map { abs($0 - $1) / abs($1) }.max() ?? 0
}
