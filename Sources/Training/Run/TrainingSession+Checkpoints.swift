import Checkpoints
import Configuration
import Faults
import Foundation
import Measurement
import Reporting

/// What a run writes to go on from, and in the end.
extension TrainingSession {
  /// Begins a checkpoint's folder, on rank 0.
  func makeWriter(_ outputs: Outputs) throws -> CheckpointWriter {
    try CheckpointWriter(
      state(serial: outputs.folder.checkpoints.nextSerial()), run.checkpointLayout,
      below: outputs.folder.checkpointsPath, keeping: origin, tokenizer: tokenizerFiles)
  }

  /// Where the run stands, beside its numbers.
  private func state(serial: Int) -> TrainingState {
    var state = TrainingState(
      step: done, seed: configuration.training.seed, version: Release.version,
      rule: configuration.optimizer.rule.rawValue, stateStart: run.optimizer.stateStart,
      stage: progress.hasStages ? progress.place : nil,
      products: workspace.productSettings?.library.rawValue)
    state.tokens = history.tokens
    (state.loss, state.evaluationLoss) = (history.loss, history.evaluationLoss)
    state.vigilance = run.vigilance.memory.json
    state.evaluationIsDue = history.evaluationIsDue
    state.time = Date().timeIntervalSince1970
    state.serial = serial
    state.parent = history.checkpoint.map {
      TrainingState.Parent(path: $0.path, step: $0.state.step, identity: $0.identity)
    }
    let inherited = Set(run.model.inherited)
    state.inherited = run.model.tensors.filter { tensor in
      tensor.pieces.contains { inherited.contains($0.parameter) }
    }.map(\.name)
    state.configuration = configuration.json.value
    state.given = configuration.given
    state.data = fingerprint.json
    let stage = progress.stage
    state.schedule = [
      "step": .integer(done - progress.place.start), "steps": .integer(stage.training.steps),
      "learning_rate": .number(run.optimizer.learningRate(at: done)),
    ]
    state.layout = [
      "ranks": .integer(world.size), "sequence": .integer(run.grid.sequence),
      "data": .integer(run.grid.data),
      "sharding": .string("\(configuration.parallel.sharding)"),
      "threads": .integer(workspace.team.size),
      "build": .string(BuildIdentity.current),
      "directory": .string(FileManager.default.currentDirectoryPath),
    ]
    return state
  }

  /// Writes the model; of one with adapters these, and where it came from no folder the model beside them.
  func writeModel() throws {
    Phase.enter("writing the model", nil, .long)
    FaultPoint.reach("model file")
    try run.checkWeights()
    // Adapters alone go on from the folder that the run began with: where more was trained, it is another model.
    let base = run.model.lora == nil || hasOwnModel ? nil : setup.basePath
    if base == nil {
      try write { folder, weights in
        try ModelFolder.write(
          run.model, to: folder.modelPath, keeping: origin, tokenizer: tokenizerFiles,
          as: configuration.checkpoint.dtype, weights: weights)
      }
    }
    guard run.model.lora != nil else { return }
    try write { folder, weights in
      try AdapterFolder.write(
        run.model, to: folder.adapterPath, base: base ?? folder.modelPath, keeping: origin,
        tokenizer: tokenizerFiles, weights: weights)
    }
  }

  /// Whether the model without its adapters is another than that of the folder that it came from.
  private var hasOwnModel: Bool {
    configuration.linearise.linearisation(configuration.model) != nil
      || configuration.linearise.kinds.contains(.transfer)
  }

  /// Brings the weights of all ranks to rank 0, which writes them.
  private func write(
    _ body: (RunFolder, ((Range<Int>, UnsafePointer<Float>) throws -> Void) throws -> Void) throws
      -> Void
  ) throws {
    guard let outputs else { return try run.store.collect(.weights) { _, _ in } }
    try body(outputs.folder) { try run.store.collect(.weights, $0) }
  }
}
