import Checkpoints
import Configuration
import Foundation
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
    ["tnl", "gla", "gated_deltanet", "transformer"])
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

  @Test("Recomputing and cutting weights over ranks change no bit", arguments: libraries)
  func bits(library: ProductLibrary) throws {
    let plain = try small(library, ["training.steps=4"]).train(ranks: 3)
    for keys in [
      ["training.recompute=true"], ["parallel.sharding=optimizer"],
      ["parallel.sharding=gradients"], ["parallel.sharding=parameters"],
    ] {
      let other = try small(library, keys + ["training.steps=4"]).train(ranks: 3)
      #expect(other[0].losses == plain[0].losses, "\(keys)")
    }
  }

  @Test(
    "Virtual ranks give the same bits for fifty steps on any number of processes",
    arguments: libraries)
  func reproducible(library: ProductLibrary) throws {
    let run = try small(library, ["parallel.reproducible=4"])
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

  @Test("A rehearsal takes the memory that a run takes", arguments: libraries)
  func rehearsal(library: ProductLibrary) throws {
    let run = try small(library, ["model.layers=[gla,attention]", "training.steps=2"])
    let setup = try RunSetup(run.configuration)
    let rehearsed = try setup.rehearsals(run.configuration, ranks: 1)
      .step(rank: 0, exchange: .chain)
    let real = try run.make(on: SoloCommunicator())
    for step in 0..<2 { _ = try real.step(step) }
    #expect(rehearsed.poolBytes == real.context.workspace.pool.statistics.held)
    #expect(rehearsed.peakByKind == real.context.workspace.pool.statistics.peakByKind)
  }

  @Test(
    "Activations take 35 % less than in fp32, gates, steps and features included",
    arguments: [
      "gla", "hgrn", "kda", "lightnet", "linear-attn", "mamba", "rebased", "regla", "rwkv6",
      "transformer",
    ])
  func activations(model: String) throws {
    let file = URL(fileURLWithPath: #filePath)
      .appending(path: "../../../../Configs/\(model)-20m.yaml").standardizedFileURL.path
    func bytes(_ keys: String...) throws -> Int {
      let configuration = try RunConfiguration.load(
        file: file, overrides: (["training.batch=1", "model.depth=4"] + keys).map { Override($0) })
      return try RunSetup(configuration, planning: true).rehearsals(configuration, ranks: 1)
        .step(rank: 0, exchange: .chain).peakByKind[BufferKind.activations.rawValue]
    }
    let mixed = try bytes("training.precision=bf16", "training.products=openblas")
    #expect(Double(mixed) < 0.65 * Double(try bytes()))
  }

  @Test(
    "A run goes on from its checkpoint with the same bits, by the library that it had",
    arguments: libraries)
  func resumes(library: ProductLibrary) throws {
    let folder = NSTemporaryDirectory() + "lasp-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    func train(_ name: String, _ keys: [String]) throws -> Data {
      let run = try SmallRun(
        [
          "training.precision=bf16", "training.steps=4", "checkpoint.every=2", "checkpoint.keep=0",
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
