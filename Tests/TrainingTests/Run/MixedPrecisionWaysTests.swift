import Tensors
import Testing

@testable import Training

@Suite("Ways to the same step in mixed precision")
struct MixedPrecisionWaysTests {
  init() { BLAS.setThreads(1) }

  /// Keys of a model or of data that all ways have in common.
  private static let adapters = [
    "model.mixer=gla", "lora.targets=[q_proj, k_proj, o_proj, gate_proj, lm_head]", "lora.rank=3",
    "optimizer.learning_rate=1e-2",
  ]
  private static let transfer = [
    "model.mixer=hedgehog", "linearise.stage=transfer", "linearise.squares=10",
    "linearise.cross_entropy=0.5", "optimizer.learning_rate=1e-2", "model.init_std=0.5",
  ]
  private static let window = ["model.mixer=transformer", "model.window=9"]
  private static let hybrid = ["model.layers=[gla,attention]"]

  /// Checks that three ranks with some keys give the losses of one rank without them.
  private func check(_ model: [String], _ keys: [String], steps: Int = 8) throws {
    func run(_ keys: [String]) throws -> SmallRun {
      try SmallRun(
        ["training.precision=bf16", "training.products=openblas"] + model + keys, steps: steps,
        rate: model.contains { $0.hasPrefix("optimizer.learning_rate") } ? nil : 1e-3)
    }
    let alone = try run([]).train(ranks: 1)[0]
    for result in try run(keys).train(ranks: 3) {
      #expect(greatestDifference(result.losses, alone.losses) < 1e-3)
    }
  }

  @Test(
    "Three ranks give one rank's losses to 1e-3",
    arguments: [
      ([], ["training.recompute=true"]), ([], ["training.accumulation=2"]),
      ([], ["parallel.exchange=scan"]), ([], ["parallel.exchange=gather"]),
      ([], ["parallel.sharding=optimizer"]),
      ([], ["parallel.sharding=gradients", "training.accumulation=2"]),
      ([], ["parallel.sharding=parameters", "training.recompute=true"]),
      (["training.batch=6"], ["parallel.data=3"]),
      (["sequence.length=60"], ["sequence.segments=3"]),
      (["model.mixer=gated_deltanet"], []),
      (["model.mixer=gated_deltanet"], ["sequence.segments=4", "parallel.exchange=gather"]),
      (["model.mixer=gla"], ["sequence.segments=4", "parallel.exchange=scan"]),
      (["model.mixer=mamba2", "model.mamba2.state_size=6"], ["sequence.segments=4"]),
      (["model.mixer=rwkv7"], ["parallel.exchange=scan"]),
      (["model.mixer=mom"], ["sequence.segments=4", "training.recompute=true"]),
      (hybrid, []), (hybrid, ["parallel.attention=ring", "sequence.segments=3"]),
      (window, ["sequence.segments=3", "training.recompute=true"]),
      (adapters, []), (adapters, ["sequence.segments=3", "parallel.sharding=parameters"]),
      (transfer, []), (transfer, ["sequence.segments=3", "parallel.attention=ring"]),
    ] as [([String], [String])])
  func ways(model: [String], keys: [String]) throws { try check(model, keys) }

  @Test(
    "So they do with packed documents",
    arguments: ["tnl", "gated_deltanet", "transformer"],
    [[], ["sequence.segments=3", "parallel.exchange=scan"], ["parallel.attention=ring"]])
  func documents(mixer: String, keys: [String]) throws {
    let file = try TextFile((0..<700).map { UInt8(($0 * $0 + $0 / 7) % 11) })
    try check(["model.mixer=\(mixer)", "data.path=\(file.path)", "data.documents=3"], keys)
  }

  @Test(
    "So they do with a teacher",
    arguments: [
      [], ["parallel.sharding=parameters", "sequence.segments=2"],
      ["parallel.attention=ring", "training.recompute=true"],
    ])
  func teacher(keys: [String]) throws {
    let teachers = try Teachers(["transformer"])
    try check(
      ["model.mixer=gla", "distillation.weight=2", teachers.key("transformer")], keys)
  }
}
