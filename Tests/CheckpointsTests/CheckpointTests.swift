import Configuration
import Foundation
import Models
import TemporaryFolders
import Tensors
import Testing

@testable import Checkpoints

@Suite("Checkpoints")
struct CheckpointTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test(
    "Every number comes back with its bits, however a family's files name, fuse and tie weights",
    arguments: ModelSection.mixers)
  func bits(mixer: String) throws {
    let small = try SmallCheckpoint(mixer)
    let checkpoint = try small.write(below: folder.file("checkpoints"))
    try checkpoint.verify()
    #expect(checkpoint.path == folder.file("checkpoints/step-00000007"))
    let (numbers, newlyTrained) = try small.read(checkpoint)
    #expect(newlyTrained == 0)
    for (quantity, numbers) in numbers {
      #expect(numbers == small.numbers(quantity), "\(quantity.name)")
    }
    let part = try small.read(checkpoint, 100..<300).numbers
    #expect(part[.weight] == Array(small.numbers(.weight)[100..<300]))
  }

  @Test("It is a model's folder", arguments: ModelSection.mixers)
  func model(mixer: String) throws {
    let small = try SmallCheckpoint(mixer)
    let model = try ModelFolder(path: small.write(below: folder.path).path)
    #expect(model.notices.isEmpty)
    var weights = [Float](repeating: 0, count: small.model.table.count)
    try weights.withUnsafeMutableBufferPointer {
      try model.read(0..<small.model.table.count, into: $0.baseAddress!)
    }
    #expect(weights == small.numbers(.weight))
  }

  @Test("With adapters it is an adapter's folder with the model in it, and both come back")
  func adapters() throws {
    let small = try SmallCheckpoint(adapters: true)
    let checkpoint = try small.write(below: folder.path)
    #expect(try small.read(checkpoint).numbers[.weight] == small.numbers(.weight))
    let model = try ModelFolder(path: checkpoint.path)
    #expect(model.adapter != nil && model.path == checkpoint.path + "/model")
    var weights = [Float](repeating: 0, count: small.model.table.count)
    try weights.withUnsafeMutableBufferPointer {
      try model.read(0..<small.model.table.count, into: $0.baseAddress!)
    }
    #expect(weights == small.numbers(.weight))
  }

  @Test("All that a run says of itself is read back")
  func state() throws {
    var state = TrainingState(
      step: 9, seed: 3, version: "x", rule: "lion", stateStart: 4,
      stage: .init(index: 1, start: 4, losses: [0.1, 1 / 3, 2e-30]), products: "onednn")
    (state.tokens, state.serial, state.time) = (1 << 40, 5, 1_795_250_533)
    (state.loss, state.evaluationLoss) = (1 / 3, 2)
    state.parent = .init(path: "a/b", step: 4, identity: "abc")
    state.inherited = ["embedding"]
    state.configuration = ["training": ["steps": 9, "rate": 1.0, "name": "ä\"\n"]]
    state.given = ["training.steps"]
    (state.data, state.layout) = ([["path": "x"]], ["ranks": 3])
    (state.schedule, state.vigilance) = (["step": 1], ["skips": 2])
    let layout = try CheckpointLayout(SmallCheckpoint().model)
    let writer = try CheckpointWriter(state, layout, below: folder.path)
    let numbers = try SmallCheckpoint().numbers(.weight)
    try writer.write(.weight, 0..<numbers.count, numbers)
    let written = try writer.finish()
    #expect(written.state == state)
    #expect(try Checkpoint(path: written.path + "/").identity == written.identity)
    #expect(written.identity.count == 64)
  }

  @Test("Several writers write ranges of the same files, and the manifest has the ranges of all")
  func parallel() throws {
    let small = try SmallCheckpoint("transformer")
    let layout = CheckpointLayout(small.model, quantities: small.quantities, shardBytes: 9000)
    let first = try CheckpointWriter(
      TrainingState(step: 1, seed: 1, version: ""), layout, below: folder.path)
    let others = [RangeWriter(layout, in: first.folder), RangeWriter(layout, in: first.folder)]
    let numbers = small.numbers(.weight)
    let parts = [0..<500, 500..<1501, 1501..<numbers.count]
    for (index, part) in parts.enumerated() {
      for quantity in [.weight] + small.quantities {
        try small.numbers(quantity)[part].withUnsafeBufferPointer {
          if index == 0 {
            try first.write(quantity, part, $0.baseAddress!)
          } else {
            try others[index - 1].write(quantity, part, $0.baseAddress!)
          }
        }
      }
    }
    let ranges = try others.flatMap { try $0.finish() }
    let lines = ranges.map(\.line)
    let checkpoint = try first.finish(with: lines.map { WrittenRange(line: $0)! })
    try checkpoint.verify()
    for part in 0..<3 { try checkpoint.verify(part: part, of: 3) }
    for (quantity, numbers) in try small.read(checkpoint).numbers {
      #expect(numbers == small.numbers(quantity))
    }
  }

  @Test("Where more is trained than before, the rule's state of all begins anew")
  func newlyTrained() throws {
    let small = try SmallCheckpoint()
    let table = small.model.table
    let some = TrainingState.Quantity(
      name: "momentum", parameters: IndexRanges([table.entries[1].range]))
    let writer = try CheckpointWriter(
      TrainingState(step: 9, seed: 1, version: "", rule: "lion"),
      CheckpointLayout(small.model, quantities: [some]), below: folder.path)
    let weights = small.numbers(.weight)
    try writer.write(.weight, 0..<weights.count, weights)
    try writer.write(some, table.entries[1].range, weights)
    let checkpoint = try writer.finish()
    let all = TrainingState.Quantity(name: "momentum")
    var numbers = [Float](repeating: -7, count: 2 * table.count)
    try numbers.withUnsafeMutableBufferPointer { room in
      let read = try checkpoint.read(
        of: small.model, rule: "lion", quantities: [all],
        into: [
          .init(.weight, 0..<table.count, room.baseAddress!),
          .init(all, 0..<table.count, room.baseAddress! + table.count),
        ])
      #expect(read.newlyTrained == table.entries.count - 1 && read.stateStart == 9)
    }
    #expect(Array(numbers[..<table.count]) == weights)
    #expect(numbers[table.count...].allSatisfy { $0 == -7 })
    // Where less is trained, what it needs is there.
    let less = try checkpoint.read(of: small.model, rule: "lion", quantities: [some], into: [])
    #expect(less.newlyTrained == 0 && less.stateStart == 0)
  }

  @Test("The state of another rule is refused by both names")
  func rule() throws {
    let small = try SmallCheckpoint()
    let checkpoint = try small.write(below: folder.path) { $0.rule = "lion" }
    let error = sentence {
      _ = try checkpoint.read(of: small.model, rule: "muon", quantities: [], into: [])
    }
    #expect(
      error
        == "\(checkpoint.path) cannot be read: it holds the state of the update rule lion, but this run's "
        + "is muon; set optimizer.name=lion, or start a run from its weights with model.from")
  }

  @Test("Checkpoints of earlier releases are read, whatever they called moments")
  func former() throws {
    let small = try SmallCheckpoint()
    let former = [
      ("weight", TrainingState.Quantity.weight), ("mean", .firstMoment), ("square", .secondMoment),
    ]
    let writer = try SafetensorsWriter(
      path: folder.file("state.safetensors"),
      tensors: former.flatMap { name, _ in
        small.model.table.entries.map {
          TensorDescription("\(name).\($0.name)", shape: $0.shape.dimensions)
        }
      })
    for (name, quantity) in former {
      for entry in small.model.table.entries {
        try small.numbers(quantity)[entry.range].withUnsafeBufferPointer {
          try writer.write("\(name).\(entry.name)", $0)
        }
      }
    }
    try writer.finish()
    try folder.write("state.json", #"{"step": 7, "seed": 3, "version": "old"}"#)
    let checkpoint = try Checkpoint(path: folder.path)
    #expect(checkpoint.isFormer)
    #expect(checkpoint.state == TrainingState(step: 7, seed: 3, version: "old"))
    for (quantity, numbers) in try small.read(checkpoint).numbers {
      #expect(numbers == small.numbers(quantity))
    }
  }

  @Test("A place that may not be written is an error of the checkpoint")
  func unwritable() throws {
    let file = try folder.write("file", Data())
    let error = try #require(throws: CheckpointError.self) {
      try SmallCheckpoint().write(below: file + "/checkpoints")
    }
    #expect(error.fileError?.isExhaustion == false)
  }

  @Test("What has no room on the disk is refused before anything of it is written")
  func full() throws {
    let error = try #require(throws: CheckpointError.self) {
      try DiskSpace.check(bytes: .max / 2, for: folder.file("step-00000001"))
    }
    #expect(error.isExhaustion)
    #expect("\(error)".contains("step-00000001 needs 4398046511103 MiB, but "))
    try DiskSpace.check(bytes: 1, for: folder.file("step-00000001"))
  }
}
