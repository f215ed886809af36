import Checkpoints
import Configuration
import Corpora
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
    #expect(try Trainer.run(configuration) == .finished)
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

  @Test("A folder of tokens is refused where the model, or data.tokenizer, has another tokenizer")
  func prepared() throws {
    func write(_ name: String, _ tokenizer: String) throws -> String {
      let made = PreparedFolder(
        vocabulary: 64, tokenBytes: 1, tokens: 2000, documents: 1, masked: nil,
        tokenizer: tokenizer, tokenizerHash: try TokenizerFile.hash(tokenizer), sources: [])
      try folder.write("\(name)/meta.json", made.encoded)
      try folder.write("\(name)/tokens.bin", Data((0..<2000).map { UInt8($0 % 61) }))
      try folder.write("\(name)/documents.bin", Data(count: 8))
      return folder.file(name)
    }
    let (own, other) = (Self.fixtures + "/qwen2.json", Self.fixtures + "/gpt2.json")
    try train("first", ["data.tokenizer=\(own)"])
    let model = "model.from=\(folder.file("first/model"))"
    func setUp(_ path: String, _ more: String...) throws {
      _ = try RunSetup(
        RunConfiguration.load(
          overrides: (keys(["data.path=\(path)"]) + more).map { Override($0) }))
    }
    let (right, wrong) = (try write("right", own), try write("wrong", other))
    try setUp(right, model)
    try setUp(wrong)
    // Whoever names the tokenizer that a folder was made with has it.
    try setUp(wrong, model, "data.tokenizer=\(other)")
    for (path, keys) in [(wrong, [model]), (right, [model, "data.tokenizer=\(other)"])] {
      let error = #expect(throws: CorpusError.self) {
        if keys.count == 1 { try setUp(path, keys[0]) } else { try setUp(path, keys[0], keys[1]) }
      }
      let words = try #require(error).description
      #expect(words.contains("holds tokens of the tokenizer") && words.contains(path))
    }
    let bytes = try write("bytes", "bytes")
    #expect(throws: CorpusError.self) { try setUp(bytes, model) }
    try setUp(bytes, "data.tokenizer=bytes")
  }

  @Test("An adapter's folder gets the files of the tokenizer as a model's does")
  func adapters() throws {
    let tokenizer = Self.fixtures + "/qwen2.json"
    let content = try Data(contentsOf: URL(fileURLWithPath: tokenizer))
    func written(_ path: String) throws -> Data {
      try Data(contentsOf: URL(fileURLWithPath: folder.file(path)))
    }
    let lora = ["model.mixer=gla", "lora.targets=[q_proj]"]
    try train("new", lora + ["data.tokenizer=\(tokenizer)"])
    #expect(try written("new/model/tokenizer.json") == content)
    #expect(try written("new/adapter/tokenizer.json") == content)
    try train("on", ["lora.targets=[q_proj]", "model.from=\(folder.file("new/model"))"])
    #expect(try written("on/adapter/tokenizer.json") == content)
    #expect(try ModelFolder(path: folder.file("on/adapter")).path == folder.file("new/model"))
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
    try files[0].file.read(0..<tokens.count, into: &tokens)
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
