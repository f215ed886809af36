import Checkpoints
import Configuration
import Foundation
import MessagePassing
import TemporaryFolders
import Tensors
import Testing
import Tokenizers

@testable import Training

@Suite("Training on text with a tokenizer")
struct TextTrainingTests {
  private static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "TokenizersTests/Fixtures").path
  private let folder: TemporaryFolder

  init() throws {
    BLAS.setThreads(1)
    folder = try TemporaryFolder()
    try folder.write(
      "text.txt", Data(String(repeating: "The model reads größere sequences. ", count: 60).utf8))
  }

  private func keys(_ more: [String]) -> [String] {
    [
      "threads=1", "model.dimension=8", "model.depth=1", "model.heads=2", "model.glu=8",
      "sequence.length=32", "training.batch=2", "training.steps=2", "log.every=1000000",
      "data.path=\(folder.file("text.txt"))", "evaluation.every=0",
    ] + more
  }

  private func train(_ name: String, _ more: [String]) throws {
    let configuration = try RunConfiguration.load(
      overrides: keys(["log.directory=\(folder.file(name))"] + more).map { Override($0) })
    #expect(try Trainer.run(configuration, overwrite: false, trace: nil) == .finished)
  }

  @Test(
    "A new model has the tokenizer's vocabulary, and gets its files; what goes on from it reads by it"
  )
  func modelFolders() throws {
    let tokenizer = Self.fixtures + "/qwen2.json"
    try train("first", ["data.tokenizer=\(tokenizer)"])
    let model = folder.file("first/model")
    let read = try TokenizerFile.read(tokenizer)
    #expect(try ModelFolder(path: model).model.vocabulary == read.vocabulary)
    let written = try Data(contentsOf: URL(fileURLWithPath: model + "/tokenizer.json"))
    #expect(try written == Data(contentsOf: URL(fileURLWithPath: tokenizer)))
    // The tokenizer of model.from is taken, and goes along.
    try train("second", ["model.from=\(model)"])
    let again = folder.file("second/model/tokenizer.json")
    #expect(try Data(contentsOf: URL(fileURLWithPath: again)) == written)
  }

  @Test("The tokens that are trained on are the text's")
  func tokens() throws {
    let tokenizer = Self.fixtures + "/llama3.json"
    let configuration = try RunConfiguration.load(
      overrides: keys(["data.tokenizer=\(tokenizer)", "data.held_out=0"]).map { Override($0) })
    let read = try TokenizerFile.read(tokenizer)
    let text = try Data(contentsOf: URL(fileURLWithPath: folder.file("text.txt")))
    let expected = read.opening + read.encode([UInt8](text))
    let files = try configuration.data.openFiles(tokenizer: read)
    var tokens = [Int32](repeating: 0, count: files[0].file.count)
    files[0].file.read(0..<tokens.count, into: &tokens)
    #expect(tokens == expected)
    #expect(try RunSetup(configuration).corpus.vocabulary == read.vocabulary)
  }

  @Test(
    "A vocabulary beyond the model's is refused at the start, bytes are read where they are wanted")
  func misfit() throws {
    try train("bytes", ["data.tokenizer=bytes"])
    let bytes = folder.file("bytes/model")
    let tokenizer = "data.tokenizer=\(Self.fixtures)/gpt2.json"
    for more in [["model.from=\(bytes)"], ["model.vocabulary=300"]] {
      let configuration = try RunConfiguration.load(
        overrides: keys([tokenizer] + more).map { Override($0) })
      let error = #expect(throws: TokenizerError.self) { try RunSetup(configuration) }
      #expect(error.map(ExitReason.init) == .checkpoint)
    }
  }
}
