import Checkpoints
import Foundation
import Models
import Testing

@testable import Training

@Suite("Checkpoints that stand alone")
struct StandaloneTests {
  private let runs: SmallRuns

  init() throws { runs = try SmallRuns() }

  /// Trains a run from a folder, takes the folder away, and goes on.
  private func check(
    _ keys: [String], from mixer: String = "gla", weights: String = "model/model.safetensors"
  ) throws {
    try runs.train("base", ["model.mixer=\(mixer)", "training.steps=1"])
    try runs.train("whole", ["model.from=\(runs.path("base"))/model"] + keys)
    let before = try runs.weights("whole", weights)
    try FileManager.default.removeItem(atPath: runs.path("base"))
    for step in [2, 4] {
      try runs.resume(
        runs.checkpoint("whole", step), ["log.directory=\(runs.path("from-\(step)"))"])
      #expect(try runs.weights("from-\(step)", weights) == before, "from step \(step)")
      #expect(try runs.events("from-\(step)", "resume").last?["changes"] == [])
    }
    _ = try ModelFolder(path: runs.checkpoint("whole", 2))
    _ = try Plan(RunConfiguration.resuming(runs.checkpoint("whole", 2)), processes: 2)
  }

  @Test("A run from a model's folder goes on without it")
  func model() throws { try check([]) }

  @Test("A run with new adapters goes on without the model that they were added to")
  func adapters() throws {
    try check(
      ["lora.targets=[q_proj, up_proj]", "lora.rank=2"],
      weights: "adapter/adapter_model.safetensors")
    // What is left of the model is in the run.
    #expect(try ModelFolder(path: runs.path("from-2") + "/adapter").model.lora?.rank == 2)
  }

  @Test("A Transformer that is made linear goes on without it, in either stage")
  func linear() throws {
    try check(
      [
        "linearise.method=lolcats", "model.lolcats.window=16",
        "linearise.stages=[{stage: transfer, steps: 3}, {steps: 3, frozen: true}]",
      ], from: "llama")
  }

  @Test("A run goes on with the tokenizer in its checkpoint, where the one that it names is gone")
  func tokenizer() throws {
    let tokens =
      #"{"version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "#
      + #""post_processor": null, "decoder": null, "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2}, "merges": []}}"#
    let file = try runs.folder.write("tokens/tokenizer.json", tokens)
    let text = try runs.folder.write("text.txt", String(repeating: "abcacbbca", count: 300))
    try runs.train("whole", ["data.path=\(text)", "data.tokenizer=\(file)"])
    try FileManager.default.removeItem(atPath: runs.folder.file("tokens"))
    try runs.resume(runs.checkpoint("whole", 2), ["log.directory=\(runs.path("other"))"])
    #expect(try runs.weights("other") == runs.weights("whole"))
    #expect(runs.folder.has("whole/checkpoints/step-00000002/tokenizer.json"))
  }
}
