import DataParallel
import Foundation
import Tensors
import Testing

@testable import Checkpoints
@testable import MessagePassing
@testable import Training

@Suite("Training with weights, gradients and moments that are cut over the ranks")
struct ShardingTests {
  init() { BLAS.setThreads(1) }

  private static let cut: [Sharding] = [.optimizer, .gradients, .parameters]

  private func small(_ sharding: Sharding, _ overrides: [String]) throws -> SmallRun {
    try SmallRun(
      ["parallel.sharding=\(sharding)", "parallel.bucket_bytes=2000", "training.steps=50"]
        + overrides)
  }

  @Test(
    "The losses are those of one rank: to 1e-6 for ten steps, to 1e-5 for fifty",
    arguments: Sharding.allCases, [(1, 1), (2, 1), (4, 1), (8, 1), (2, 2), (4, 2)])
  func losses(sharding: Sharding, grid: (sequence: Int, data: Int)) throws {
    let ranks = grid.sequence * grid.data
    let alone = try SmallRun().train(ranks: 1)[0]
    let run = try small(
      sharding, ["parallel.sequence=\(grid.sequence)", "parallel.data=\(grid.data)"])
    for result in try run.train(ranks: ranks) {
      #expect(
        greatestDifference(Array(result.losses[..<10]), Array(alone.losses[..<10])) < 1e-6)
      #expect(greatestDifference(result.losses, alone.losses) < 1e-5)
      #expect(greatestDifference(result.norms, alone.norms) < 1e-5)
    }
  }

  @Test(
    "All four give the same bits, with tied embeddings and recomputed activations too",
    arguments: cut,
    [
      [], ["training.recompute=true"], ["model.mixer=hgrn2"],
      ["model.mixer=delta_net", "model.tie_embeddings=true"],
    ])
  func bits(sharding: Sharding, keys: [String]) throws {
    let keys = keys + ["training.steps=4"]
    let whole = try small(.none, keys).train(ranks: 3)[0]
    let parts = try small(sharding, keys).train(ranks: 3)
    #expect(parts[0].losses == whole.losses)
    // A norm is a sum in Double over other parts.
    #expect(greatestDifference(parts[0].norms, whole.norms) < 1e-14)
    if sharding != .parameters { #expect(parts[2].weights == whole.weights) }
  }

  @Test(
    "Any update rule gives the same bits with any sharding, and the losses of one rank",
    arguments: ["lion", "muon"], [1, 3, 5])
  func rules(rule: String, ranks: Int) throws {
    let keys = ["optimizer.name=\(rule)", "training.steps=10"]
    let alone = try small(.none, keys).train(ranks: 1)[0]
    let whole = try small(.none, keys).train(ranks: ranks)[0]
    #expect(greatestDifference(whole.losses, alone.losses) < 1e-6)
    for sharding in Self.cut {
      let parts = try small(sharding, keys).train(ranks: ranks)
      #expect(parts[0].losses == whole.losses, "\(sharding)")
      if sharding != .parameters {
        #expect(parts.allSatisfy { $0.weights == whole.weights }, "\(sharding)")
      }
    }
  }

  @Test("Each matrix of Muon lies on one rank, and only AdamW's parameters have its moments")
  func wholeMatrices() throws {
    let run = try small(.parameters, ["optimizer.name=muon"])
    let results = try ThreadCommunicator.run(ranks: 3, deadline: 30) { world in
      let one = try run.make(on: world)
      return (one.store.parts.map(\.range), one.optimizer.states.map(\.numbers.count))
    }
    let table = try RunSetup(run.configuration).model.table
    let matrices = table.entries.filter { $0.role == .matrix && $0.shape.rank == 2 }
    for matrix in matrices {
      let owners = results.flatMap(\.0).filter { $0.overlaps(matrix.range) }
      #expect(owners.count == 1, "\(matrix.name)")
    }
    let inMatrices = matrices.reduce(0) { $0 + $1.range.count }
    let kept = results.map(\.1).reduce([0, 0, 0]) { zip($0, $1).map(+) }
    #expect(kept == [inMatrices, table.count - inMatrices, table.count - inMatrices])
  }

  @Test(
    "Several backward passes a step give what one gives: micro-batches of the batch, and segments",
    arguments: cut, ["training.accumulation=4", "sequence.segments=3"])
  func passes(sharding: Sharding, key: String) throws {
    let keys = ["training.steps=20"]
    let whole = try small(.none, keys).train(ranks: 2)[0]
    let several = try small(sharding, keys + [key]).train(ranks: 2)[0]
    #expect(greatestDifference(several.losses, whole.losses) < 1e-6)
    #expect(greatestDifference(several.norms, whole.norms) < 1e-6)
  }

  @Test(
    "With gradients in bf16 on the way a run learns as well",
    arguments: [Sharding.none, .gradients])
  func bfloat16(sharding: Sharding) throws {
    let exact = try small(.none, []).train(ranks: 4)[0]
    let results = try small(sharding, ["parallel.transport=bf16"]).train(ranks: 4)
    #expect(results.allSatisfy { $0.losses == results[0].losses })
    #expect(greatestDifference(results[0].losses, exact.losses) < 1e-2)
    let sent = try small(sharding, ["training.steps=1"]).train(ranks: 4)[1].gradientBytes
    #expect(2 * results[1].gradientBytes == sent)
  }

  /// Trains as a user does, and gives the bytes of the final weights.
  private func train(_ small: SmallRun, ranks: Int, into folder: String) throws -> Data {
    try ThreadCommunicator.run(ranks: ranks, deadline: 60) { communicator in
      let world = World(
        communicator: communicator, host: Host(ranks: ranks, index: communicator.rank))
      let session = try TrainingSession(
        small.configuration, world: world, workspace: Workspace())
      try session.train()
    }
    return try Data(contentsOf: URL(fileURLWithPath: folder + "/model/model.safetensors"))
  }

  @Test(
    "All four write the same files, and each goes on from every other's checkpoint",
    arguments: ["adamw", "lion", "muon"])
  func files(rule: String) throws {
    let folder = NSTemporaryDirectory() + "lasp-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let keys = [
      "training.steps=4", "checkpoint.every=2", "evaluation.every=2", "checkpoint.keep=0",
      "optimizer.name=\(rule)",
    ]
    func checkpoint(_ name: String) throws -> [Data] {
      try ["model", "optimizer"].map {
        try Data(
          contentsOf: URL(
            fileURLWithPath: "\(folder)/\(name)/checkpoints/step-00000002/\($0).safetensors"))
      }
    }
    let models = try Sharding.allCases.map { sharding in
      let path = "\(folder)/\(sharding)"
      return try train(
        small(sharding, keys + ["log.directory=\(path)"]), ranks: 3, into: path)
    }
    for (sharding, model) in zip(Sharding.allCases, models) {
      #expect(model == models[0], "\(sharding)")
      #expect(try checkpoint("\(sharding)") == checkpoint("none"), "\(sharding)")
    }
    for (index, sharding) in Sharding.allCases.enumerated() {
      let path = "\(folder)/on-\(sharding)"
      let other = Sharding.allCases[(index + 1) % 4]
      let resumed = try train(
        small(
          sharding,
          keys + [
            "log.directory=\(path)",
            "training.resume=\(folder)/\(other)/checkpoints/step-00000002",
          ]), ranks: 3, into: path)
      #expect(resumed == models[0], "\(sharding) from \(other)")
    }
    // On another number of ranks: the same up to rounding.
    let path = "\(folder)/more"
    _ = try train(
      small(
        .parameters,
        keys + [
          "log.directory=\(path)",
          "training.resume=\(folder)/gradients/checkpoints/step-00000002",
        ]), ranks: 5, into: path)
    func weights(_ path: String) throws -> [Float] {
      let model = try ModelFolder(path: path + "/model")
      let count = model.model.table.count
      return try [Float](unsafeUninitializedCapacity: count) { numbers, filled in
        try model.read(0..<count, into: numbers.baseAddress!)
        filled = count
      }
    }
    let (more, same) = (try weights(path), try weights("\(folder)/none"))
    // The sign of what is nearly nothing may be another.
    #expect(zip(more, same).allSatisfy { abs($0 - $1) < (rule == "lion" ? 4e-3 : 1e-4) })
    // A model's folder is read part by part.
    let parts = try small(.parameters, keys)
    try ThreadCommunicator.run(ranks: 3, deadline: 30) { world in
      let run = try parts.make(on: world)
      try run.readWeights(ModelFolder(path: "\(folder)/none/model"))
      var read: [Float] = []
      try run.store.collect(.weights) {
        read += UnsafeBufferPointer(start: $1, count: $0.count)
      }
      #expect(read == (world.rank == 0 ? same : []))
    }
  }

  @Test("A rank that fails while a checkpoint is collected ends the others", arguments: Self.cut)
  func failure(sharding: Sharding) throws {
    struct Full: Error {}
    let small = try small(sharding, ["training.steps=1"])
    #expect(throws: Full.self) {
      try ThreadCommunicator.run(ranks: 3, deadline: 30) { world in
        let run = try small.make(on: world)
        _ = try run.step(0)
        let state = run.optimizer.states[0]
        try run.store.collect(.moments(state.numbers.pointer, of: state.parameters)) { range, _ in
          if range.lowerBound > 0 { throw Full() }
        }
        try world.synchronize(for: "a rank that is gone")
      }
    }
  }

  @Test(
    "A dry run knows the bytes and the memory of every rank", arguments: Sharding.allCases,
    ["adamw", "lion", "muon"])
  func rehearsal(sharding: Sharding, rule: String) throws {
    let run = try small(
      sharding,
      [
        "training.steps=3", "model.dimension=64", "model.glu=96", "model.depth=6",
        "optimizer.name=\(rule)",
      ])
    let ranks = 4
    let real = try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      let one = try run.make(on: world)
      for step in 0..<3 {
        one.context.counters.reset()
        _ = try one.step(step)
      }
      try one.store.settle(polling: one.context.workspace.poll)
      let counters = one.context.counters
      let statistics = one.context.workspace.pool.statistics
      return (
        statistics.held, counters.gradientBytesSent, counters.weightBytesSent,
        statistics.byKind[BufferKind.optimizer.rawValue]
      )
    }
    let setup = try RunSetup(run.configuration)
    for rank in 0..<ranks {
      let plan = try setup.rehearsals(run.configuration, ranks: ranks).step(
        rank: rank, exchange: .chain)
      #expect(plan.gradientBytes == real[rank].1)
      #expect(plan.weightBytes == real[rank].2)
      #expect(plan.peakByKind[BufferKind.optimizer.rawValue] == real[rank].3)
      #expect(abs(Double(plan.poolBytes) / Double(real[rank].0) - 1) < 0.15, "rank \(rank)")
    }
  }
}
