import Checkpoints
import DataParallel

/// What a run keeps in files; rank 0 writes, and every rank reads what it keeps.
extension TrainingRun {
  /// Brings weights and moments to rank 0, which writes them; called by all ranks.
  ///
  /// - Parameter writer: The checkpoint, on rank 0.
  public func write(to writer: TrainingState.Writer?) throws {
    for (kind, numbers) in [
      (TrainingState.Kind.weight, ShardedParameters.Numbers.weights),
      (.mean, .moments(optimizer.mean.pointer)), (.square, .moments(optimizer.square.pointer)),
    ] {
      try store.collect(numbers) { try writer?.write(kind, $0, $1) }
    }
  }

  /// Reads the part of a checkpoint that this rank keeps, whatever ranks and sharding wrote it.
  public func read(_ path: String) throws -> TrainingState {
    try TrainingState.read(
      path, table: model.table,
      into: store.kept.map { .init(.weight, $0.range, $0.values) }
        + store.updated.flatMap { part in
          [
            .init(.mean, part.range, optimizer.mean.pointer + part.offset),
            .init(.square, part.range, optimizer.square.pointer + part.offset),
          ]
        })
  }

  /// Reads the weights that this rank keeps from a model's folder.
  public func readWeights(_ folder: ModelFolder) throws {
    for part in store.kept { try folder.read(part.range, into: part.values) }
  }
}
