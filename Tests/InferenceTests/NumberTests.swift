import Checkpoints
import Configuration
import Corpora
import Foundation
import MessagePassing
import Models
import SequenceParallel
import TemporaryFolders
import Tensors
import Testing

@testable import Inference

@Suite("Losses, logits and weights that are no numbers")
struct NumberTests {
  private let files: TemporaryFolder

  init() throws {
    BLAS.setThreads(1)
    files = try TemporaryFolder()
  }

  /// Writes a model of bytes whose weights are `scale` times small numbers, the first one as given, and the embedding
  /// of byte 255 as large as can be, where wanted.
  private func model(
    scale: Float = 1, first: Float? = nil, overflowsOnLastByte: Bool = false
  ) throws -> String {
    let section = ModelSection([
      "dimension": .integer(8), "depth": .integer(1), "heads": .integer(2),
    ])
    let model = LanguageModel(Architectures.make(section, vocabulary: 256))
    var weights = (0..<model.table.count).map { scale * Float($0 % 7 - 3) }
    if let first { weights[0] = first }
    if overflowsOnLastByte { for index in 255 * 8..<256 * 8 { weights[index] = 3e38 } }
    try ModelFolder.write(model, to: files.file("model")) { write in
      try weights.withUnsafeBufferPointer { try write(0..<weights.count, $0.baseAddress!) }
    }
    return files.file("model")
  }

  private func evaluate(_ model: String, mask: UInt8? = nil, ranks: Int) throws {
    var data = DataSection()
    data.path = [WeightedPath(path: try files.write("a.txt", Data((0..<64).map { UInt8($0) })))]
    if let mask { data.lossMask = [try files.write("mask", Data(repeating: mask, count: 64))] }
    let section = data
    _ = try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      try StreamEvaluation(
        modelFolder: model, data: section, length: 16, parallel: ParallelSection(), world: world,
        workspace: Workspace()
      ).run()
    }
  }

  @Test("A weight that is no number is found when it is read", arguments: [Float.nan, -.infinity])
  func weights(first: Float) throws {
    let path = try model(first: first)
    #expect(throws: CheckpointError.self) { try evaluate(path, ranks: 1) }
    #expect {
      try Generator(modelFolder: path, workspace: Workspace())
    } throws: {
      "\($0)".contains("tensor model.embed_tokens.weight holds \(first)")
    }
  }

  @Test("A loss that is no number ends an evaluation, on all ranks", arguments: [1, 3])
  func losses(ranks: Int) throws {
    let path = try model(scale: 1e38)
    #expect(throws: NotFiniteError.self) { try evaluate(path, ranks: ranks) }
  }

  @Test(
    "A logit that is no number ends an evaluation of tokens, although nothing is to be predicted there",
    arguments: [1, 3])
  func logitsOfTokens(ranks: Int) throws {
    let path = try model(overflowsOnLastByte: true)
    let header = #"{"input_ids":{"dtype":"I32","shape":[1,4],"data_offsets":[0,16]}}   "#
    var file = withUnsafeBytes(of: UInt64(header.utf8.count)) { Data($0) } + Data(header.utf8)
    for token in [1, 2, 3, 255] as [Int32] {
      withUnsafeBytes(of: token) { file.append(contentsOf: $0) }
    }
    let tokens = try files.write("tokens.safetensors", file)
    let output = files.file("out.safetensors")
    #expect(throws: NotFiniteError.self) {
      try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
        try TokenEvaluation(
          modelFolder: path, gradients: false, world: world, workspace: Workspace()
        ).run(tokens: tokens, output: output)
      }
    }
  }

  @Test("A logit that is no number ends a generation")
  func logits() throws {
    let generator = try Generator(modelFolder: model(scale: 1e38), workspace: Workspace())
    #expect(throws: NotFiniteError.self) { try generator.read([1, 2, 3]) }
  }

  @Test("A file without a token to predict has no loss, which is said", arguments: [1, 2])
  func noTarget(ranks: Int) throws {
    let path = try model()
    try evaluate(path, mask: 1, ranks: ranks)
    #expect {
      try evaluate(path, mask: 0, ranks: ranks)
    } throws: {
      $0 as? CorpusError == .noTarget(paths: [files.file("a.txt")])
    }
  }
}
