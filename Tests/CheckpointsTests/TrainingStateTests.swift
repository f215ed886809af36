import Configuration
import Foundation
import TemporaryFolders
import Tensors
import Testing

@testable import Checkpoints

@Suite struct TrainingStates {
  private let table: ParameterTable
  private let weights: [Float] = [1, 2, 3, 4, 5, 6]
  private let first: [Float] = [10, 20, 30, 40, 50, 60]
  private let second: [Float] = [11, 21, 31, 41, 51, 61]

  init() {
    var table = ParameterTable()
    table.addRegion("blocks.0")
    _ = table.add("a", [2, 2], role: .matrix, initialization: .constant(0))
    _ = table.add("b", [2], role: .bias, initialization: .constant(0))
    self.table = table
  }

  /// What a checkpoint holds for a range of the index space: weights, first and second moments.
  private func read(_ path: String, _ range: Range<Int>) throws -> (TrainingState, [[Float]]) {
    let numbers = UnsafeMutablePointer<Float>.allocate(capacity: 3 * range.count)
    defer { numbers.deallocate() }
    let (state, newlyTrained) = try TrainingState.read(
      path, table: table,
      into: [
        .init(.weight, range, numbers), .init(.firstMoment, range, numbers + range.count),
        .init(.secondMoment, range, numbers + 2 * range.count),
      ])
    #expect(newlyTrained == 0)
    return (
      state,
      (0..<3).map {
        Array(UnsafeBufferPointer(start: numbers + $0 * range.count, count: range.count))
      }
    )
  }

  @Test func whatIsWrittenInPiecesIsReadBack() throws {
    let folder = try TemporaryFolder()
    let state = TrainingState(step: 7, seed: 3, version: "x")
    let writer = try TrainingState.Writer(state, table: table, below: folder.file("checkpoints"))
    for range in [2..<6, 0..<2] {
      for (quantity, numbers) in [
        (TrainingState.Quantity.secondMoment, second), (.weight, weights), (.firstMoment, first),
      ] {
        try numbers[range].withUnsafeBufferPointer {
          try writer.write(quantity, range, $0.baseAddress!)
        }
      }
    }
    let path = try writer.finish(keep: 0)
    #expect(TrainingState.latest(below: folder.file("checkpoints")) == path)
    let (read, numbers) = try read(path, 1..<6)
    #expect(read == state)
    #expect(numbers == [weights, first, second].map { Array($0[1...]) })
    let names = try SafetensorsFile(path: path + "/state.safetensors").tensors.map(\.name)
    #expect(
      Set(names) == [
        "weight.a", "weight.b", "first_moment.a", "first_moment.b", "second_moment.a",
        "second_moment.b",
      ])
  }

  @Test func whereItStandsAmongItsStagesIsReadBack() throws {
    let folder = try TemporaryFolder()
    let state = TrainingState(
      step: 9, seed: 3, version: "x", stateStart: 4,
      stage: .init(index: 1, start: 4, losses: [0.1, 1 / 3, 2e-30]))
    let writer = try TrainingState.Writer(state, table: table, below: folder.path, quantities: [])
    #expect(try TrainingState(of: writer.finish(keep: 0)) == state)
  }

  @Test func whereMoreIsTrainedThanBeforeTheStateOfAllBeginsAnew() throws {
    let folder = try TemporaryFolder()
    let some = TrainingState.Quantity(name: "momentum", parameters: IndexRanges([0..<4]))
    let writer = try TrainingState.Writer(
      TrainingState(step: 9, seed: 1, version: "", rule: "lion"), table: table,
      below: folder.path, quantities: [.weight, some])
    try weights.withUnsafeBufferPointer {
      try writer.write(.weight, 0..<6, $0.baseAddress!)
      try writer.write(some, 0..<4, $0.baseAddress!)
    }
    let path = try writer.finish(keep: 0)
    let all = TrainingState.Quantity(name: "momentum")
    let numbers = UnsafeMutablePointer<Float>.allocate(capacity: 12)
    defer { numbers.deallocate() }
    numbers.update(repeating: -7, count: 12)
    let (state, newlyTrained) = try TrainingState.read(
      path, table: table, rule: "lion", quantities: [.weight, all],
      into: [.init(.weight, 0..<6, numbers), .init(all, 0..<6, numbers + 6)])
    #expect(newlyTrained == 1 && state.stateStart == 9)
    #expect(Array(UnsafeBufferPointer(start: numbers, count: 6)) == weights)
    #expect((6..<12).allSatisfy { numbers[$0] == -7 })
    // Where less is trained, what it needs is there.
    let fewer = TrainingState.Quantity(name: "momentum", parameters: IndexRanges([0..<2]))
    let less = try TrainingState.read(
      path, table: table, rule: "lion", quantities: [.weight, fewer], into: [])
    #expect(less.newlyTrained == 0 && less.state.stateStart == 0)
  }

  @Test func momentsOfOlderCheckpointsAreRead() throws {
    let folder = try TemporaryFolder()
    let former = [("weight", weights), ("mean", first), ("square", second)]
    let writer = try SafetensorsWriter(
      path: folder.file("state.safetensors"),
      tensors: former.flatMap { name, _ in
        table.entries.map { TensorDescription("\(name).\($0.name)", shape: $0.shape.dimensions) }
      })
    for (name, numbers) in former {
      for entry in table.entries {
        try numbers[entry.range].withUnsafeBufferPointer {
          try writer.write("\(name).\(entry.name)", $0)
        }
      }
    }
    try writer.finish()
    try folder.write("state.json", Data(#"{"step": 7, "seed": 3, "version": "old"}"#.utf8))
    let (state, numbers) = try read(folder.path, 0..<6)
    #expect(state == TrainingState(step: 7, seed: 3, version: "old"))
    #expect(numbers == [weights, first, second])
  }

  @Test func theStateOfAnotherRuleIsRefusedByBothNames() throws {
    let folder = try TemporaryFolder()
    let momentum = TrainingState.Quantity(name: "momentum", parameters: IndexRanges([0..<4]))
    let writer = try TrainingState.Writer(
      TrainingState(step: 1, seed: 1, version: "", rule: "lion"), table: table,
      below: folder.path, quantities: [.weight, momentum])
    try weights.withUnsafeBufferPointer {
      try writer.write(.weight, 0..<6, $0.baseAddress!)
      try writer.write(momentum, 0..<4, $0.baseAddress!)
    }
    let path = try writer.finish(keep: 0)
    let names = try SafetensorsFile(path: path + "/state.safetensors").tensors.map(\.name)
    #expect(Set(names) == ["weight.a", "weight.b", "momentum.a"])
    let error = try #require(throws: CheckpointError.self) {
      try TrainingState.read(path, table: table, rule: "muon", into: [])
    }
    #expect(
      "\(error)"
        == "\(path) cannot be read: it holds the state of the update rule lion, but this run's is "
        + "muon; set optimizer.name=lion, or start a run from its model folder with model.from")
  }

  @Test func aPlaceThatMayNotBeWrittenIsAnErrorOfTheCheckpoint() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("file", Data())
    let error = try #require(throws: CheckpointError.self) {
      try TrainingState.Writer(
        TrainingState(step: 1, seed: 1, version: ""), table: table, below: file + "/checkpoints")
    }
    #expect(error.fileError?.isExhaustion == false)
  }
}
