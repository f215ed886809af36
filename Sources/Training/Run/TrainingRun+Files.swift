import Checkpoints
import DataParallel
import Measurement
import MessagePassing
import SequenceParallel
import Tensors

/// What a run keeps in files; rank 0 writes, and every rank reads what it keeps.
extension TrainingRun {
  /// Which files a checkpoint of this run consists of.
  package var checkpointLayout: CheckpointLayout {
    CheckpointLayout(model, quantities: optimizer.states.map(quantity))
  }

  private func quantity(_ state: FlatOptimizer.State) -> TrainingState.Quantity {
    TrainingState.Quantity(name: state.name, parameters: state.parameters)
  }

  /// Brings weights and the optimizer's state to rank 0, which writes them; called by all ranks.
  ///
  /// - Parameter writer: The checkpoint, on rank 0.
  package func write(to writer: CheckpointWriter?) throws {
    try collect { try writer?.write($0, $1, $2) }
  }

  /// Brings weights and the optimizer's state to rank 0; called by all ranks.
  ///
  /// - Parameter body: Called on rank 0 with every piece.
  func collect(
    _ body: (TrainingState.Quantity, Range<Int>, UnsafePointer<Float>) throws -> Void
  ) throws {
    FaultPoint.reach("checkpoint")
    try store.collect(.weights) { try body(.weight, $0, $1) }
    for state in optimizer.states {
      try store.collect(.moments(state.numbers.pointer, of: state.parameters)) {
        try body(quantity(state), $0, $1)
      }
    }
  }

  /// What of weights and the optimizer's state this rank writes where every rank writes its own.
  func ownNumbers() throws -> [(TrainingState.Quantity, Range<Int>, UnsafePointer<Float>)] {
    try store.own(.weights).map { (.weight, $0.range, $0.numbers) }
      + optimizer.states.flatMap { state in
        try store.own(.moments(state.numbers.pointer, of: state.parameters)).map {
          (quantity(state), $0.range, $0.numbers)
        }
      }
  }

  /// Reads the part of a checkpoint that this rank keeps, whatever ranks and sharding wrote it.
  ///
  /// - Returns: How many parameters had no state of the update rule, so that all begin anew.
  @discardableResult
  package func read(_ checkpoint: Checkpoint) throws -> Int {
    let read = try checkpoint.read(
      of: model, rule: configuration.optimizer.rule.rawValue,
      quantities: optimizer.states.map(quantity),
      into: store.kept.map { .init(.weight, $0.range, $0.values) }
        + optimizer.states.flatMap { state in
          optimizer.ranges(of: state, in: store).map {
            .init(quantity(state), $0.range, $0.numbers)
          }
        })
    optimizer.stateStart = read.stateStart
    return read.newlyTrained
  }

  /// Reads the weights that this rank keeps from the checkpoint in which the stage before ended.
  func readWeights(of checkpoint: Checkpoint) throws {
    _ = try checkpoint.read(
      of: model, rule: configuration.optimizer.rule.rawValue, quantities: [],
      into: store.kept.map { .init(.weight, $0.range, $0.values) })
  }

  /// Reads the weights that this rank keeps from a model's folder; those of new adapters, and of what a Transformer does not
  /// have, begin as the seed says.
  package func readWeights(_ folder: ModelFolder) throws {
    initializeWeights(ofAdapters: folder.exchange == nil)
    for part in store.kept { try folder.read(part.range, into: part.values) }
  }

  /// Brings what the streams of `data.carry` carry into a step to rank 0, which writes it.
  ///
  /// Called by all ranks. Nothing is written where the streams begin anew.
  ///
  /// - Parameter step: The step that is to be done next.
  func writeStreams(to writer: CheckpointWriter?, step: Int) throws {
    guard let streams = try collectStreams(step: step) else { return }
    try writer?.write(streams: streams, position: carried)
  }

  /// Brings what the streams of `data.carry` carry into a step to rank 0.
  ///
  /// Called by all ranks.
  ///
  /// - Returns: A copy of each stream's tensors; nil where the streams begin anew, and on other ranks.
  func collectStreams(step: Int) throws -> [[String: (shape: [Int], numbers: [Float])]]? {
    guard corpus.continues(step: step) else { return nil }
    let workspace = context.workspace
    guard world.rank == 0 else {
      guard grid.sequenceIndex == 0 else { return nil }
      for values in carriedValues {
        let message = values.packed(in: workspace)
        try send([message.count], message)
      }
      return nil
    }
    // In the order of rows: of each micro-batch one group after another.
    var streams: [CarriedRow] = []
    for (values, rows) in zip(carriedValues, microBatches) {
      streams += values.rows(rows.count)
      for group in 1..<grid.data {
        streams += try receive(from: group * grid.sequence).rows(rows.count)
      }
    }
    return streams.map { row in
      Dictionary(uniqueKeysWithValues: row.tensors.map { ($0.name, ($1.shape, $1.numbers)) })
    }
  }

  /// Reads what the streams of this rank carry into a step, whatever ranks and grid wrote it; they begin anew with a stage.
  ///
  /// The first rank of each sequence group holds it.
  func readStreams(_ checkpoint: Checkpoint, step: Int) throws {
    carried = 0
    var earlier = step
    while earlier > start, corpus.continues(step: earlier) {
      carried += configuration.sequence.length
      earlier -= 1
    }
    guard carried > 0 else { return }
    carries = try microBatches.map { rows in
      // Every rank finds out whether the streams fit.
      let streams = try checkpoint.readStreams(
        grid.sequenceIndex == 0 ? rows : 0..<0, of: configuration.training.batch,
        position: carried)
      let carry = Carry()
      carry.values = [CarrySlot: Tensor](
        rows: streams.map { stream in
          CarriedRow(
            Dictionary(
              uniqueKeysWithValues: stream.compactMap { name, part in
                CarrySlot(name: name).map {
                  ($0, CarriedRow.TensorRow(shape: part.shape, numbers: part.numbers))
                }
              }))
        }, pool: context.workspace.pool)
      return carry
    }
    guard let teacher else { return }
    for (own, carry) in zip(teacher.carries, carries) {
      for (slot, value) in carry.values where slot.layer >= model.blocks.count {
        own.values[CarrySlot(layer: slot.layer - model.blocks.count, slot.content)] = value
        carry.values[slot] = nil
      }
    }
  }

  /// What each micro-batch's rows carry into the next step; a teacher's layers are counted after the model's own.
  private var carriedValues: [[CarrySlot: Tensor]] {
    guard let teacher else { return carries.map(\.values) }
    return zip(carries, teacher.carries).map { carry, own in
      own.values.reduce(into: carry.values) { all, part in
        all[CarrySlot(layer: part.key.layer + model.blocks.count, part.key.content)] = part.value
      }
    }
  }

  private func send(_ count: [Int], _ message: Tensor) throws {
    try count.withUnsafeBytes {
      try world.send($0, to: 0, tag: streamTag).wait(for: "rank 0 to take the size of streams")
    }
    try world.send(
      UnsafeRawBufferPointer(start: message.pointer, count: 4 * message.count), to: 0,
      tag: streamTag
    ).wait(for: "rank 0 to take the states of streams")
  }

  private func receive(from source: Int) throws -> [CarrySlot: Tensor] {
    var count = [0]
    try count.withUnsafeMutableBytes {
      try world.receive(into: $0, from: source, tag: streamTag)
        .wait(for: "the size of the streams of rank \(source)")
    }
    let message = Tensor([count[0]], pool: context.workspace.pool, kind: .states)
    try world.receive(
      into: UnsafeMutableRawBufferPointer(start: message.pointer, count: 4 * message.count),
      from: source, tag: streamTag
    ).wait(for: "the states of the streams of rank \(source)")
    return [CarrySlot: Tensor](packed: message, pool: context.workspace.pool)
  }

  private var streamTag: Int { 2 }
}
