import Configuration
import Foundation
import Models
import TemporaryFolders
import Tensors

@testable import Checkpoints

/// A checkpoint of a small model, with numbers that follow from their places.
struct SmallCheckpoint {
  let model: LanguageModel
  let quantities: [TrainingState.Quantity]

  init(_ mixer: String = "gla", adapters: Bool = false) throws {
    var document = ConfigurationDocument(schemas: ModelSection.schemas)
    document.apply(
      ["mixer=\(mixer)", "dimension=32", "depth=2", "heads=2", "glu=24"].map {
        Override("model.\($0)")
      })
    let section = document.section(ModelSection.self)
    try document.check()
    let architecture = Architectures.make(section, vocabulary: 11)
    model =
      adapters
      ? try LanguageModel(architecture, adapting: LoRA(.allLinear, rank: 2, alpha: 2))
      : LanguageModel(architecture)
    quantities = TrainingState.Quantity.ofAdamW
  }

  /// The numbers of all parameters, each with bits of its own.
  func numbers(_ quantity: TrainingState.Quantity) -> [Float] {
    let start = quantity == .weight ? 0.25 : quantity == .firstMoment ? -3 : 1e-9
    return (0..<model.table.count).map { Float(start * (1 + Double($0) / 3)) }
  }

  /// Writes it in pieces, the last first.
  @discardableResult
  func write(
    below folder: String, step: Int = 7, serial: Int = 1,
    _ more: (inout TrainingState) -> Void = { _ in }
  ) throws -> Checkpoint {
    var state = TrainingState(step: step, seed: 3, version: "x")
    state.serial = serial
    more(&state)
    let writer = try CheckpointWriter(
      state, CheckpointLayout(model, quantities: quantities, shardBytes: 9000), below: folder)
    for quantity in [.weight] + quantities {
      let numbers = numbers(quantity)
      for first in stride(from: 0, to: numbers.count, by: 777).reversed() {
        let range = first..<min(first + 777, numbers.count)
        try numbers[range].withUnsafeBufferPointer {
          try writer.write(quantity, range, $0.baseAddress!)
        }
      }
    }
    return try writer.finish()
  }

  /// What a checkpoint holds of a range.
  func read(
    _ checkpoint: Checkpoint, _ range: Range<Int>? = nil
  ) throws -> (numbers: [TrainingState.Quantity: [Float]], newlyTrained: Int) {
    let range = range ?? 0..<model.table.count
    let all = [TrainingState.Quantity.weight] + quantities
    var numbers = [Float](repeating: -7, count: all.count * range.count)
    let newlyTrained = try numbers.withUnsafeMutableBufferPointer { room in
      try checkpoint.read(
        of: model, quantities: quantities,
        into: all.enumerated().map {
          .init($1, range, room.baseAddress! + $0 * range.count)
        }
      ).newlyTrained
    }
    return (
      Dictionary(
        uniqueKeysWithValues: all.enumerated().map {
          ($1, Array(numbers[$0 * range.count..<($0 + 1) * range.count]))
        }), newlyTrained
    )
  }
}

/// The sentence of the error that a body throws; empty for none.
func sentence(_ body: () throws -> Void) -> String {
  do {
    try body()
    return ""
  } catch {
    return "\(error)"
  }
}
