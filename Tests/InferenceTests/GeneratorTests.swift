import Checkpoints
import Configuration
import Foundation
import MessagePassing
import Models
import ReferenceMath
import SequenceParallel
import TemporaryFolders
import Tensors
import Testing

@testable import Inference

@Suite("Generating token by token")
struct GeneratorTests {
  private let files: TemporaryFolder

  init() throws {
    BLAS.setThreads(1)
    files = try TemporaryFolder()
  }

  /// Writes a model with random weights.
  private func model(_ keys: [String: JSONValue]) throws -> LanguageModel {
    let model = LanguageModel(try Architectures.read(.object(keys)).architecture)
    var weights = [Float](repeating: 0, count: model.table.count)
    weights.withUnsafeMutableBufferPointer {
      model.table.initialize(0..<model.table.count, seed: 3, into: $0.baseAddress!)
    }
    try ModelFolder.write(model, to: files.file("model")) { write in
      try weights.withUnsafeBufferPointer { try write(0..<weights.count, $0.baseAddress!) }
    }
    return model
  }

  private static func gla(vocabulary: Int, tied: Bool) -> [String: JSONValue] {
    [
      "model_type": "gla", "vocab_size": .integer(vocabulary), "hidden_size": 8,
      "num_hidden_layers": 2, "num_heads": 2, "intermediate_size": 8, "use_short_conv": true,
      "initializer_range": 0.5, "tie_word_embeddings": .bool(tied),
      "attn": ["layers": [1], "num_heads": 2],
    ]
  }

  @Test("What follows each token is what a run over the whole text says", arguments: [false, true])
  func logits(tied: Bool) throws {
    let model = try model(Self.gla(vocabulary: 24, tied: tied))
    let text = (0..<40).map { Int32($0 * 7 % 24) }
    let runner = ModelRunner(model, sequence: SoloCommunicator(), workspace: Workspace())
    try ModelFolder(path: files.file("model")).read(into: runner.store)
    let whole = Tensor([text.count, 24], pool: runner.context.workspace.pool)
    let layout = SequenceLayout(shardLengths: [text.count], rank: 0, rows: 1)
    _ = try runner.forward(
      text, targets: text, pass: SequencePass(context: runner.context, layout: layout),
      logits: whole.pointer)
    let generator = try Generator(modelFolder: files.file("model"), workspace: Workspace())
    for part in [0..<30, 30..<31, 31..<32, 32..<40] {
      let found = try generator.read(Array(text[part]))
      let last = part.upperBound - 1
      let right = whole.numbers[last * 24..<(last + 1) * 24]
      #expect(relativeError(found, right.map(Double.init)) <= 2e-5, "token \(last)")
    }
  }

  @Test(
    "Every architecture goes on token by token as a run over the whole text says",
    arguments: Fixture.all)
  func tokenByToken(fixture: Fixture) throws {
    let tokens = try SafetensorsFile(path: fixture.file("tokens.safetensors"))
    let expected = try SafetensorsFile(path: fixture.file("expected.safetensors"))
    let shape = try #require(expected.tensor("logits")).shape
    let text = try tokens.readIntegers("input_ids").prefix(shape[1]).map(Int32.init)
    let logits = try expected.readFloats("logits")
    let generator = try Generator(modelFolder: fixture.file(), workspace: Workspace())
    let prompt = min(20, text.count - 1)
    for part in [0..<3, 3..<prompt] + (prompt..<text.count).map({ $0..<$0 + 1 }) {
      let found = try generator.read(Array(text[part]))
      let last = part.upperBound - 1
      let right = logits[last * shape[2]..<(last + 1) * shape[2]]
      #expect(relativeError(found, right.map(Double.init)) <= 2e-5, "token \(last)")
    }
  }

  @Test("A prompt makes one row of logits, not one a token")
  func memory() throws {
    let vocabulary = 1 << 14
    _ = try model(Self.gla(vocabulary: vocabulary, tied: true))
    let workspace = Workspace()
    let generator = try Generator(modelFolder: files.file("model"), workspace: workspace)
    let weights = workspace.pool.statistics.peakByKind.reduce(0, +)
    _ = try generator.read((0..<512).map { Int32($0) })
    let added = workspace.pool.statistics.peakByKind.reduce(0, +) - weights
    #expect(added < 4 * 512 * vocabulary / 8)
  }
}
