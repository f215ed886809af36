import Checkpoints
import Configuration
import Foundation
import Models
import Tensors
import Testing

@testable import MessagePassing
@testable import Training

@Suite("Training in mixed precision")
struct MixedPrecisionTests {
  init() { BLAS.setThreads(1) }

  /// By which libraries: widened, and by oneDNN where the CPU multiplies bf16.
  private static let libraries: [ProductLibrary] =
    [.openblas] + (OneDNN.hasBFloat16 ? [.onednn] : [])

  private func small(_ library: ProductLibrary = .openblas, _ keys: [String]) throws -> SmallRun {
    try SmallRun(["training.precision=bf16", "training.products=\(library.rawValue)"] + keys)
  }

  @Test(
    "Any number of ranks gives one rank's losses to 1e-3 for fifty steps", arguments: libraries,
    ["tnl", "gla", "gated_deltanet", "transformer", "liger_gla", "lolcats", "lizard"])
  func ranks(library: ProductLibrary, mixer: String) throws {
    let model = ["model.mixer=\(mixer)"]
    let alone = try small(library, model).train(ranks: 1)[0]
    for ranks in [2, 3, 4] {
      let results = try small(library, model).train(ranks: ranks)
      for result in results {
        #expect(greatestDifference(result.losses, alone.losses) < 1e-3, "\(ranks) ranks")
      }
    }
    // It is another precision than fp32, and near it.
    let full = try SmallRun(model).train(ranks: 1)[0]
    #expect(alone.losses != full.losses)
    #expect(greatestDifference(alone.losses, full.losses) < 1e-2)
  }

  @Test(
    "Recomputing and cutting weights over ranks change no bit", arguments: libraries,
    ["tnl", "liger_gsa", "lolcats", "lizard"])
  func bits(library: ProductLibrary, mixer: String) throws {
    let model = ["model.mixer=\(mixer)", "training.steps=4"]
    let plain = try small(library, model).train(ranks: 3)
    for keys in [
      ["training.recompute=true"], ["parallel.sharding=optimizer"],
      ["parallel.sharding=gradients"], ["parallel.sharding=parameters"],
    ] {
      let other = try small(library, keys + model).train(ranks: 3)
      #expect(other[0].losses == plain[0].losses, "\(keys)")
    }
  }

  @Test(
    "Virtual ranks give the same bits for fifty steps on any number of processes",
    arguments: libraries, ["tnl", "liger_gla", "lolcats"])
  func reproducible(library: ProductLibrary, mixer: String) throws {
    let run = try small(library, ["model.mixer=\(mixer)", "parallel.reproducible=4"])
    func train(_ processes: Int) throws -> [SmallRun.Result] {
      try ThreadCommunicator.run(ranks: processes, deadline: 60) { process in
        try process.run(virtualRanks: 4) { try run.train(on: $0) }
      }.flatMap { $0 }
    }
    let alone = try train(1)
    for processes in [2, 4] { #expect(try train(processes) == alone) }
  }

  @Test("All ranks take what rank 0 chooses, and what the run file names is not measured")
  func choice() throws {
    func choose(_ keys: String...) throws -> [ProductSettings] {
      let configuration = try SmallRun(keys).configuration
      return try ThreadCommunicator.run(ranks: 2, deadline: 60) {
        try configuration.chooseProducts(world: $0)
      }
    }
    let measured = try choose("training.products=auto")
    #expect(measured[0] == measured[1] && measured[0].precision == .fp32)
    let named = try choose("training.products=openblas", "training.precision=bf16")
    #expect(named.allSatisfy { $0.library == .openblas && $0.precision == .bf16 && $0.widens })
    let known = try choose("training.products=auto", "parallel.reproducible=2")
    #expect(known.allSatisfy { $0.library == ProductLibrary.known(ofFamily: .current) })
  }

  @Test(
    "A rehearsal takes the memory that a run takes", arguments: libraries,
    [
      "model.layers=[gla,attention]", "model.mixer=liger_gsa", "model.mixer=lolcats",
      "model.mixer=lizard",
    ])
  func rehearsal(library: ProductLibrary, model: String) throws {
    let run = try small(library, [model, "training.steps=2"])
    let setup = try RunSetup(run.configuration)
    let rehearsed = try setup.rehearsals(run.configuration, ranks: 1)
      .step(rank: 0, exchange: .chain)
    let real = try run.make(on: SoloCommunicator())
    for step in 0..<2 { _ = try real.step(step) }
    #expect(rehearsed.poolBytes == real.context.workspace.pool.statistics.held)
    #expect(rehearsed.peakByKind == real.context.workspace.pool.statistics.peakByKind)
  }

  /// How much of the activations of fp32 mixed precision takes, of a model as wide as in use.
  private func share(ofActivations keys: [String]) throws -> Double {
    func bytes(_ keys: [String]) throws -> Double {
      let size = [
        "model.dimension=384", "model.depth=4", "model.heads=6", "sequence.length=4096",
        "training.batch=1",
      ]
      let configuration = try RunConfiguration.load(overrides: (size + keys).map { Override($0) })
      let peaks = try RunSetup(configuration, planning: true)
        .rehearsals(configuration, ranks: 1).step(rank: 0, exchange: .chain).peakByKind
      return Double(peaks[BufferKind.activations.rawValue])
    }
    let mixed = try bytes(keys + ["training.precision=bf16", "training.products=openblas"])
    return try mixed / bytes(keys)
  }

  @Test(
    "Activations of every mixer take 35 % less than in fp32, gates, steps and features included",
    arguments: ModelSection.mixers)
  func activations(mixer: String) throws {
    #expect(try share(ofActivations: ["model.mixer=\(mixer)"]) < 0.65)
  }

  @Test(
    "So do those of models with other shares, windows, experts, and of adapters",
    arguments: [
      ["model.mixer=gla", "model.channels=experts"],
      ["model.mixer=liger_gla", "model.kv_heads=2"],
      ["model.mixer=lolcats", "model.kv_heads=2"],
      ["model.mixer=lolcats", "model.lolcats.window_kind=terraced"],
      ["model.mixer=lizard", "model.lizard.feature_map=softmax_dim"],
      ["model.layers=[liger_gsa,full_attention]"],
      ["model.mixer=transformer", "lora.targets=[q_proj,k_proj,v_proj,o_proj]"],
      ["model.mixer=gla", "lora.targets=[q_proj,k_proj,v_proj,o_proj]"],
      ["model.mixer=liger_gla", "lora.targets=[q_proj,k_proj,v_proj]"],
      ["model.mixer=lolcats", "lora.targets=[q_proj,k_proj,v_proj,o_proj]"],
      ["model.mixer=lizard", "lora.targets=[q_proj,k_proj,v_proj,o_proj]"],
      ["model.mixer=qwen3_moe", "lora.targets=[q_proj,k_proj,v_proj,o_proj]"],
    ])
  func otherActivations(keys: [String]) throws {
    #expect(try share(ofActivations: keys) < 0.65)
  }

  @Test(
    "A run goes on from its checkpoint with the same bits, by the library that it had",
    arguments: libraries, ["tnl", "lolcats"])
  func resumes(library: ProductLibrary, mixer: String) throws {
    let folder = NSTemporaryDirectory() + "lasp-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    func train(_ name: String, _ keys: [String]) throws -> Data {
      let run = try SmallRun(
        [
          "model.mixer=\(mixer)", "training.precision=bf16", "training.steps=4",
          "checkpoint.every=2", "checkpoint.keep=0",
          "evaluation.every=0", "log.directory=\(folder)/\(name)",
        ] + keys)
      try ThreadCommunicator.run(ranks: 2, deadline: 60) { communicator in
        let world = World(
          communicator: communicator, host: Host(ranks: 2, index: communicator.rank))
        _ = try TrainingSession(
          run.configuration, world: world,
          workspace: Workspace(products: ProductSettings(.bf16, by: library))
        ).train()
      }
      return try Data(
        contentsOf: URL(fileURLWithPath: "\(folder)/\(name)/model/model.safetensors"))
    }
    let through = try train("first", ["training.products=\(library.rawValue)"])
    let checkpoint = "\(folder)/first/checkpoints/step-00000002"
    #expect(try Checkpoint(path: checkpoint).state.products == library.rawValue)
    let resumed = try train("second", ["training.resume=\(checkpoint)"])
    #expect(resumed == through)
    let log = try String(contentsOfFile: "\(folder)/second/log.jsonl", encoding: .utf8)
    #expect(log.contains(#""precision":"bf16","products":"\#(library.rawValue)""#))
  }
}
