import Checkpoints
import Foundation
import MessagePassing
import Models
import TemporaryFolders
import Tensors
import Testing

@testable import Training

@Suite("Losses of layers that learn from attention")
struct TransferLossTests {
  private let folder: TemporaryFolder

  init() throws {
    BLAS.setThreads(1)
    folder = try TemporaryFolder()
  }

  private static let text = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Docs/Architecture.md").path

  private static let data = [
    "data.path=\(text)", "data.held_out=0", "sequence.length=64", "evaluation.every=0",
    "schedule.warmup=20",
  ]

  /// Trains; gives the losses of all steps.
  private func train(_ keys: [String], in name: String, ranks: Int = 1) throws -> [Double] {
    let path = folder.file(name)
    let run = try SmallRun(Self.data + keys, steps: nil, rate: nil)
    return try ThreadCommunicator.run(ranks: ranks, deadline: 120) { world in
      let setup = try RunSetup(run.configuration)
      let one = try TrainingRun(
        run.configuration, corpus: setup.corpus, model: setup.model, world: world,
        workspace: Workspace(), exchange: .chain)
      if let folder = setup.folder { try one.readWeights(folder) } else { one.initializeWeights() }
      let losses = try (0..<run.configuration.training.steps).map { try one.step($0).loss }
      if setup.folder == nil {
        try ModelFolder.write(one.model, to: path) { try one.store.collect(.weights, $0) }
      }
      return losses
    }[0]
  }

  /// A Transformer that has learnt a little.
  private func transformer() throws -> String {
    _ = try train(
      [
        "model.mixer=llama", "model.dimension=32", "model.glu=48", "training.steps=80",
        "optimizer.learning_rate=5e-3",
      ], in: "transformer")
    return folder.file("transformer")
  }

  @Test(
    "The loss of transfer falls ten times in a hundred steps, at the learning rate it has by itself",
    arguments: [
      ["linearise.method=lolcats", "model.lolcats.window=16"],
      ["linearise.method=lizard", "model.lizard.window=16"],
      [
        "linearise.method=hedgehog", "model.hedgehog.feature_dim=64",
        "model.hedgehog.feature_map_zero_init=false",
      ],
    ])
  func falls(method: [String]) throws {
    let losses = try train(
      method + [
        "model.from=\(try transformer())", "linearise.stage=transfer", "training.steps=100",
      ], in: "transfer")
    let last = losses.suffix(10).reduce(0, +) / 10
    #expect(last * 10 < losses[0], "from \(losses[0]) to \(last)")
  }

  @Test(
    "One, two and eight ranks have the same losses, in transfer and in finetuning",
    arguments: ["lolcats", "liger_gla", "lizard"], ["transfer", "finetune"])
  func ranks(method: String, stage: String) throws {
    // Liger has no new weights that could learn from attention.
    if method == "liger_gla", stage == "transfer" { return }
    let keys = [
      "model.from=\(try transformer())", "linearise.method=\(method)", "linearise.stage=\(stage)",
      "model.\(method).window=16", "training.steps=8", "optimizer.learning_rate=1e-2",
      // The other map has kinks, at which runs may part by more than sums in another order differ by.
      "model.lizard.feature_map=softmax_dim",
    ].filter { method == "lizard" || !$0.hasPrefix("model.lizard") }
    let one = try train(keys, in: "run")
    for ranks in [2, 8] {
      #expect(greatestDifference(try train(keys, in: "run", ranks: ranks), one) < 1e-5)
    }
  }
}
