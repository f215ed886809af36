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

  /// The last evaluation that a run's log tells of.
  private func evaluation(_ name: String) throws -> JSONValue {
    let lines = try folder.text("\(name)/log.jsonl").split(separator: "\n")
    let events = try lines.map { try JSONValue(Data($0.utf8)) }
    return try #require(events.last { $0["event"] == "evaluation" })
  }

  @Test(
    "Evaluations tell bits per byte where it is known what their tokens stand for, and else not")
  func bitsPerByte() throws {
    let every = ["evaluation.every=2", "evaluation.tokens=0"]
    let text = try folder.text("text.txt")
    let path = Self.fixtures + "/llama3.json"
    let read = try TokenizerFile.read(path)
    let tokens = read.encode(text)
    func check(_ name: String, bytes: Int?, targets: Int) throws {
      let event = try evaluation(name)
      let loss = try #require(event["loss"]?.number)
      #expect(event["tokens"]?.integer == targets, "\(name)")
      #expect(event["bytes"]?.integer == bytes, "\(name)")
      #expect(abs((event["perplexity"]?.number ?? 0) / exp(loss) - 1) < 1e-9)
      guard let bytes else {
        #expect(event["bits_per_byte"] == nil)
        return
      }
      let bits = loss * Double(targets) / log(2) / Double(bytes)
      #expect(abs((event["bits_per_byte"]?.number ?? 0) / bits - 1) < 1e-9, "\(name)")
    }
    let whole = "evaluation.path=\(folder.file("text.txt"))"
    // A token for the beginning stands before the text, all of which is predicted.
    try train("text", ["data.tokenizer=\(path)", whole] + every)
    try check("text", bytes: text.utf8.count, targets: tokens.count)
    try train("bytes", [whole] + every)
    try check("bytes", bytes: text.utf8.count - 1, targets: text.utf8.count - 1)
    // A prepared folder names its tokenizer, which lies where it lay.
    let made = PreparedFolder(
      vocabulary: read.vocabulary, tokenBytes: 2, tokens: tokens.count, documents: 1, masked: nil,
      tokenizer: path, tokenizerHash: try TokenizerFile.hash(path), sources: [])
    try folder.write("data/meta.json", made.encoded)
    try folder.write(
      "data/tokens.bin", Data(tokens.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] as [UInt8] }))
    try folder.write("data/documents.bin", Data(count: 8))
    let first = read.decode(tokens.prefix(1)).utf8.count
    let data = folder.file("data")
    try train("prepared", ["data.path=\(data)", "evaluation.path=\(data)"] + every)
    try check("prepared", bytes: text.utf8.count - first, targets: tokens.count - 1)
    let file = folder.file("data/tokens.bin")
    try train("tokens", ["data.path=\(file)", "evaluation.path=\(file)"] + every)
    try check("tokens", bytes: nil, targets: tokens.count - 1)
  }
}
