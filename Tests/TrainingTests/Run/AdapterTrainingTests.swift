import Checkpoints
import DataParallel
import Foundation
import Models
import TemporaryFolders
import Tensors
import Testing

@testable import MessagePassing

@testable import Training

@Suite("Training adapters")
struct AdapterTrainingTests {
  init() { BLAS.setThreads(1) }

  private static let lora = [
    "lora.targets=[q_proj, k_proj, o_proj, gate_proj]", "lora.rank=3", "lora.alpha=6",
    "model.mixer=gla", "training.steps=5", "optimizer.clip=0", "optimizer.learning_rate=1e-2",
    "parallel.bucket_bytes=2000",
  ]

  private func run(_ keys: [String]) throws -> SmallRun { try SmallRun(Self.lora + keys) }

  @Test("Only adapters change, and what is trained beside them", arguments: [false, true])
  func changes(saves: Bool) throws {
    let run = try run(saves ? ["lora.modules_to_save=[lm_head]"] : [])
    let (model, before, after) = try ThreadCommunicator.run(ranks: 1, deadline: 60) { world in
      let one = try run.make(on: world)
      let before = one.weights
      for step in 0..<3 { _ = try one.step(step) }
      return (one.model, before, one.weights)
    }[0]
    for entry in model.table.entries {
      let isTrained = entry.isAdapter || (saves && entry.name == "lm_head.weight")
      #expect((before[entry.range] != after[entry.range]) == isTrained, "\(entry.name)")
      #expect(entry.isTrainable == isTrained)
    }
    #expect(model.table.trainable.count + model.table.frozenCount == model.table.count)
  }

  @Test(
    "All grids, segments and shardings give the curve of one rank",
    arguments: [
      (2, []), (3, []), (8, []), (4, ["parallel.data=2"]), (4, ["parallel.data=4"]),
      (3, ["sequence.segments=3"]), (2, ["training.recompute=true", "sequence.segments=4"]),
      (2, ["training.accumulation=2"]), (3, ["parallel.sharding=parameters"]),
      (4, ["parallel.sharding=gradients", "parallel.data=2", "training.accumulation=2"]),
      (2, ["parallel.sharding=optimizer", "optimizer.name=muon"]),
    ] as [(Int, [String])])
  func grids(ranks: Int, keys: [String]) throws {
    let rule = keys.filter { $0.hasPrefix("optimizer") }
    let one = try run(rule).train(ranks: 1)[0]
    let many = try run(keys).train(ranks: ranks)
    #expect(many.allSatisfy { $0.losses == many[0].losses })
    #expect(greatestDifference(many[0].losses, one.losses) < 1e-5)
    #expect(greatestDifference(many[0].norms, one.norms) < 1e-4)
    #expect(one.losses.first != one.losses.last)
  }

  @Test("Sharding and recomputation change no bit", arguments: Sharding.allCases)
  func bits(sharding: Sharding) throws {
    let plain = try run([]).train(ranks: 3)
    let keys = ["parallel.sharding=\(sharding)", "training.recompute=true"]
    #expect(try run(keys).train(ranks: 3)[0].losses == plain[0].losses)
  }

  @Test("The dry run's bytes are those of a step, and only adapters have gradients and moments")
  func plan() throws {
    let run = try run([])
    let ranks = try run.train(ranks: 2)
    let real = ranks[0]
    let setup = try RunSetup(run.configuration)
    let plan = try setup.rehearsals(run.configuration, ranks: 2).step(rank: 0, exchange: .chain)
    #expect(plan.gradientBytes == real.gradientBytes)
    #expect(plan.stateBytes == real.stateBytes)
    let trained = setup.model.table.trainable.count
    #expect(ranks.reduce(0) { $0 + $1.gradientBytes } == 2 * 4 * trained)
    let moments = plan.peakByKind[BufferKind.optimizer.rawValue]
    #expect(moments >= 4 * 2 * trained)
    #expect(moments < 4 * 2 * trained * 5 / 4)
    let words = try Plan(run.configuration, processes: 2).description(
      speed: Plan.Speed(gigaflops: 1))
    #expect(words.contains(" trainable, "))
  }

  @Test(
    "A run writes its adapter, from which evaluation and another run go on; resuming changes no bit"
  )
  func folders() throws {
    let folder = try TemporaryFolder()
    func train(_ name: String, _ keys: [String]) throws {
      let run = try SmallRun(
        ["model.mixer=gla", "training.steps=4", "evaluation.every=0", "checkpoint.every=2"] + keys
          + ["log.directory=\(folder.file(name))"])
      _ = try ThreadCommunicator.run(ranks: 2, deadline: 60) { communicator in
        let world = World(
          communicator: communicator, host: Host(ranks: 2, index: communicator.rank))
        try TrainingSession(run.configuration, world: world, workspace: Workspace()).train()
      }
    }
    func weights(_ path: String) throws -> Data {
      try Data(contentsOf: URL(fileURLWithPath: folder.file(path)))
    }
    try train("base", [])
    let from = ["model.from=\(folder.file("base/model"))"]
    let lora = from + ["lora.targets=[q_proj, up_proj, lm_head]", "lora.rank=2"]
    try train("first", lora)
    #expect(!FileManager.default.fileExists(atPath: folder.file("first/model")))
    let file = "adapter/adapter_model.safetensors"
    try train(
      "second", lora + ["training.resume=\(folder.file("first/checkpoints/step-00000002"))"])
    #expect(try weights("second/\(file)") == weights("first/\(file)"))
    let opened = try ModelFolder(path: folder.file("first/adapter"))
    #expect(opened.path == folder.file("base/model"))
    #expect(opened.model.lora?.rank == 2)
    // Training goes on with an adapter, by its folder or beside its model.
    try train("third", ["model.from=\(folder.file("first/adapter"))"])
    try train("fourth", from + ["model.adapter=\(folder.file("first/adapter"))"])
    #expect(try weights("third/\(file)") == weights("fourth/\(file)"))
    #expect(try weights("third/\(file)") != weights("first/\(file)"))
    #expect {
      try train("fifth", ["model.from=\(folder.file("first/adapter"))", "lora.targets=q_proj"])
    } throws: {
      "\($0)".contains("there are to be new adapters beside; leave lora away")
    }
  }

  @Test(
    "What does not fit is refused with its key",
    arguments: [
      (["lora.targets=[nothing]"], "lora.targets: no projection of the model fits nothing"),
      (
        ["lora.targets=q_proj", "lora.modules_to_save=[nothing]"],
        "lora.modules_to_save: no module of the model ends in nothing"
      ),
      (["lora.rank=4"], "lora.rank: no projection gets an adapter"),
      (["lora.targets=q_proj", "lora.dropout=0.1"], "lora.dropout: adapters have no dropout here"),
      (["lora.targets=(q"], "lora.targets: (q is no regular expression"),
      (["model.adapter=a"], "model.adapter: there is no model that it belongs to"),
      (
        ["lora.targets=q_proj", "optimizer.groups=[{pattern: \"*lora*\", frozen: true}]"],
        "optimizer.groups: all parameters are frozen"
      ),
    ] as [([String], String)])
  func refused(keys: [String], reason: String) {
    #expect {
      _ = try RunSetup(SmallRun(["model.mixer=gla"] + keys).configuration)
    } throws: {
      "\($0)".contains(reason)
    }
  }
}
