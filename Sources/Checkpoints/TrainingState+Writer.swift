import Configuration
import Files
import Tensors

extension TrainingState {
  /// A checkpoint that is being written, piece by piece, below a run's folder.
  package final class Writer {
    private let state: TrainingState
    private let table: ParameterTable
    private let below: String
    private let folder: AtomicFolder
    private let writer: SafetensorsWriter

    /// Begins a checkpoint, which appears under its name only when it is complete.
    ///
    /// - Parameter quantities: The weights, and what the update rule keeps.
    /// - Throws: `CheckpointError` when the place may not be written, or is full.
    package init(
      _ state: TrainingState, table: ParameterTable, below folder: String,
      quantities: [Quantity] = Quantity.ofAdamW
    ) throws(CheckpointError) {
      (self.state, self.table, below) = (state, table, folder)
      self.folder = try checkpointFiles { () throws(FileError) in
        try AtomicFolder(destination: folder + "/" + TrainingState.name(state.step))
      }
      var keys: [String: JSONValue] = [
        "step": .integer(state.step), "seed": .integer(state.seed),
        "version": .string(state.version), "optimizer": .string(state.rule),
        "products": state.products.map { .string($0) } ?? .null,
      ]
      if state.stateStart > 0 { keys["state_start"] = .integer(state.stateStart) }
      if let stage = state.stage {
        keys["stage"] = [
          "number": .integer(stage.index + 1), "start": .integer(stage.start),
          "losses": .array(stage.losses.map(JSONValue.number)),
        ]
      }
      let place = self.folder.path
      try checkpointFiles { () throws(FileError) in
        try AtomicFile.write(JSONValue.object(keys).encoded, to: place + "/state.json")
      }
      writer = try SafetensorsWriter(
        path: place + "/state.safetensors",
        tensors: quantities.flatMap { quantity in
          quantity.entries(of: table).map {
            TensorDescription(quantity.name(of: $0.name), shape: $0.shape.dimensions)
          }
        })
    }

    /// Writes the numbers of a range of the index space; each is to be written once, in any order.
    package func write(
      _ quantity: Quantity, _ range: Range<Int>, _ numbers: UnsafePointer<Float>
    ) throws(CheckpointError) {
      for (entry, part) in table.pieces(of: range) {
        try writer.write(
          quantity.name(of: entry.name),
          UnsafeBufferPointer(
            start: numbers + part.lowerBound - range.lowerBound, count: part.count),
          at: part.lowerBound - entry.range.lowerBound)
      }
    }

    /// Writes what the streams of tokens carry into the next step: `streams.safetensors`, with a tensor
    /// `streams.<stream>.<name>` each and the streams' `position`.
    ///
    /// - Parameters:
    ///   - streams: For each stream its tensors by name.
    ///   - position: Tokens of each stream that have been read.
    package func write(
      streams: [[String: (shape: [Int], numbers: [Float])]], position: Int
    ) throws {
      let tensors = streams.enumerated().flatMap { index, stream in
        stream.sorted { $0.key < $1.key }.map { ("streams.\(index).\($0.key)", $0.value) }
      }
      let file = try SafetensorsWriter(
        path: folder.path + "/" + TrainingState.streamsName,
        tensors: [TensorDescription("position", shape: [1], type: .int64)]
          + tensors.map { TensorDescription($0.0, shape: $0.1.shape) })
      try file.write("position", [position])
      for (name, tensor) in tensors {
        try tensor.numbers.withUnsafeBufferPointer { try file.write(name, $0) }
      }
      try file.finish()
    }

    /// Completes the checkpoint, and deletes all but the latest `keep` (0: none is deleted).
    ///
    /// - Returns: The checkpoint's folder.
    package func finish(keep: Int) throws(CheckpointError) -> String {
      try writer.finish()
      try checkpointFiles { () throws(FileError) in try folder.commit() }
      if keep > 0 {
        for old in TrainingState.steps(below: below).dropLast(keep) {
          try? FileSystem.remove(below + "/" + TrainingState.name(old))
        }
      }
      return below + "/" + TrainingState.name(state.step)
    }
  }
}
