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
import Tokenizers

@testable import Inference

/// A small model with a tokenizer in its folder.
@Suite("Text with a model's tokenizer")
struct ModelTextTests {
  private let files: TemporaryFolder
  private static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "TokenizersTests/Fixtures")

  init() throws {
    BLAS.setThreads(1)
    files = try TemporaryFolder()
  }

  /// Writes a model with random weights and a tokenizer of the fixtures.
  private func write(_ tokenizer: String, vocabulary: Int, settings: String = "{}") throws -> String
  {
    let model = LanguageModel(
      try Architectures.read(
        .object([
          "model_type": "gla", "vocab_size": .integer(vocabulary), "hidden_size": 16,
          "num_hidden_layers": 1, "num_heads": 2, "intermediate_size": 16, "initializer_range": 0.5,
        ])
      ).architecture)
    var weights = [Float](repeating: 0, count: model.table.count)
    weights.withUnsafeMutableBufferPointer {
      model.table.initialize(0..<model.table.count, seed: 3, into: $0.baseAddress!)
    }
    try files.write(
      "tokenizer/tokenizer.json", Data(contentsOf: Self.fixtures.appending(path: tokenizer)))
    try files.write("tokenizer/tokenizer_config.json", Data(settings.utf8))
    try ModelFolder.write(
      model, to: files.file("model"), tokenizer: TokenizerFiles(path: files.file("tokenizer"))
    ) { write in
      try weights.withUnsafeBufferPointer { try write(0..<weights.count, $0.baseAddress!) }
    }
    return files.file("model")
  }

  private func generate(_ change: (inout Generation) -> Void = { _ in }) throws -> String {
    var generation = Generation(
      modelFolder: files.file("model"), prompt: "The model", tokens: 40,
      sampler: Sampler(temperature: 0, seed: 1), threads: 1)
    change(&generation)
    var text = ""
    try generation.run { text += $0 }
    return text
  }

  @Test("What is generated are the tokenizer's texts of the likeliest tokens")
  func generation() throws {
    let folder = try write("llama3.json", vocabulary: 640)
    let tokenizer = try TokenizerFile.read(folder)
    let generator = try Generator(modelFolder: folder, workspace: Workspace())
    var tokens = tokenizer.opening + tokenizer.encode("The model")
    var logits = try generator.read(tokens)
    let sampler = Sampler(temperature: 0, seed: 1)
    for index in 0..<40 {
      tokens.append(sampler.choose(logits, index: index))
      logits = try generator.read([tokens.last!])
    }
    let text = try generate()
    #expect(text == tokenizer.decode(tokens) + "\n")
    // A text of the middle ends it, wherever it lies in tokens.
    let answer = String(text.dropFirst("The model".count).dropLast())
    let stop = String(answer.dropFirst(answer.count / 2).prefix(3))
    let place = try #require(answer.range(of: stop))
    #expect(
      try generate { $0.stops = ["never found", stop] }
        == "The model\(answer[..<place.lowerBound])\n")
  }

  @Test("The end token ends it, and is not shown")
  func endToken() throws {
    let folder = try write("llama3.json", vocabulary: 640)
    let tokenizer = try TokenizerFile.read(folder)
    let whole = try generate { $0.tokens = 12 }
    let first = try Generator(modelFolder: folder, workspace: Workspace())
    var tokens: [Int32] = []
    var logits = try first.read(tokenizer.opening + tokenizer.encode("The model"))
    for index in 0..<12 {
      tokens.append(Sampler(temperature: 0, seed: 1).choose(logits, index: index))
      logits = try first.read([tokens.last!])
    }
    let end = tokens[6]
    let before = tokens.prefix { $0 != end }
    try Data("{\"eos_token_id\": [\(end)]}".utf8).write(
      to: URL(fileURLWithPath: folder + "/generation_config.json"))
    #expect(whole == "The model" + tokenizer.decode(tokens) + "\n")
    #expect(try generate { $0.tokens = 12 } == "The model" + tokenizer.decode(before) + "\n")
  }

  @Test("A question is written by the model's template, and only the answer is shown")
  func chat() throws {
    let template = "{{ '<|im_start|>' + role + '<|im_end|>' }}"
    let folder = try write(
      "qwen2.json", vocabulary: 640, settings: "{\"chat_template\": \"\(template)\"}")
    let tokenizer = try TokenizerFile.read(folder)
    let text = "<|im_start|>user\nThe model<|im_end|>\n<|im_start|>assistant\n"
    let prompt = try Prompt(
      "The model", .chat(system: nil), tokenizer: ModelTokenizer(model: folder), vocabulary: 640)
    #expect(prompt.tokens == tokenizer.encode(text))
    #expect(prompt.endTokens == [try #require(tokenizer.token(of: "<|im_end|>"))])
    let raw = try generate {
      $0.prompt = text
      $0.form = .raw
      $0.tokens = 5
    }
    let answer = try generate {
      $0.form = .chat(system: nil)
      $0.tokens = 5
    }
    #expect(raw == "user\nThe model\nassistant\n" + answer)
  }

  @Test("Other templates, no template and other vocabularies are refused")
  func refusals() throws {
    let folder = try write(
      "qwen2.json", vocabulary: 640, settings: "{\"chat_template\": \"<start_of_turn>\"}")
    let error = #expect(throws: GenerationError.self) {
      try generate { $0.form = .chat(system: nil) }
    }
    #expect(error?.description.contains("ChatML, Llama 2, Llama 3, Mistral") == true)
    #expect(error?.description.contains("--raw") == true)
    let tokenizer = try ModelTokenizer(model: folder)
    #expect(throws: TokenizerError.self) {
      try Prompt("a", .text, tokenizer: tokenizer, vocabulary: 300)
    }
    #expect(throws: GenerationError.self) {
      try Prompt("a", .chat(system: nil), tokenizer: nil, vocabulary: 256)
    }
    #expect(throws: GenerationError.self) {
      try Prompt("", .text, tokenizer: tokenizer, vocabulary: 640)
    }
  }

  @Test(
    "A text's loss is told in bits of its bytes and per token",
    arguments: ["llama3.json", "gpt2.json"])
  func evaluation(tokenizer: String) throws {
    let folder = try write(tokenizer, vocabulary: 640)
    let text = String(repeating: "Größe: 你好, the model 😀 trains. ", count: 5)
    try files.write("text.txt", Data(text.utf8))
    var data = DataSection()
    data.path = [WeightedPath(path: files.file("text.txt"))]
    let (shared, read) = (data, try TokenizerFile.read(folder))
    let tokens = read.opening + read.encode(text)
    let first = read.opening.isEmpty ? read.decode(tokens.prefix(1)).utf8.count : 0
    let results = try [(1, 64), (3, 20)].map { ranks, length in
      try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
        try StreamEvaluation(
          modelFolder: folder, data: shared, length: length, parallel: ParallelSection(),
          world: world,
          workspace: Workspace()
        ).run()
      }[0]
    }
    for result in results {
      #expect(result.sums.targets == tokens.count - 1)
      #expect(result.bytes == text.utf8.count - first)
      let bits = try #require(result.bitsPerByte)
      let expected = result.sums.loss / log(2) / Double(text.utf8.count - first)
      #expect(abs(bits - expected) < 1e-12 * expected)
      #expect(abs(result.sums.loss - results[0].sums.loss) < 1e-5 * results[0].sums.loss)
      #expect(result.description.contains("bits per byte, perplexity "))
    }
    // Of a part, the bytes are those of its tokens; one that does not end within a character.
    let count = try #require(
      (20..<40).first {
        text.utf8.starts(with: read.decode(read.encode(text).prefix($0)).utf8)
      })
    let part = try StreamEvaluation(
      modelFolder: folder, data: shared, length: 20, tokens: read.opening.count + count - 1,
      parallel: ParallelSection(),
      world: SoloCommunicator(), workspace: Workspace()
    ).run()
    #expect(part.sums.targets == read.opening.count + count - 1)
    #expect(part.bytes == read.decode(read.encode(text).prefix(count)).utf8.count - first)
  }

  @Test(
    "Of files of tokens the bytes are those that their targets decode to, document by document",
    arguments: ["llama3.json", "gpt2.json", "llama2.json", "mistral.json", "unigram.json"])
  func tokenFiles(tokenizer: String) throws {
    let folder = try write(tokenizer, vocabulary: 1024)
    let read = try TokenizerFile.read(folder)
    let texts = [
      "Größe: 你好, the model 😀 trains.", "A second one", " x", "The state of it goes on.",
    ]
    var (tokens, starts): ([Int32], [Int]) = ([], [])
    var bytes = 0
    for text in texts {
      starts.append(tokens.count)
      let document = read.opening + read.encode(text)
      tokens += document
      bytes += read.decode(document).utf8.count - read.decode(document.prefix(1)).utf8.count
    }
    var data = DataSection()
    data.tokenBytes = .two
    data.path = [
      WeightedPath(
        path: try files.write(
          "text.bin", Data(tokens.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] })))
    ]
    data.documents = [
      try files.write(
        "documents",
        Data(starts.flatMap { start in withUnsafeBytes(of: UInt64(start)) { Array($0) } }))
    ]
    let shared = data
    for (ranks, length) in [(1, 64), (3, 20), (4, 5)] {
      let result = try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
        try StreamEvaluation(
          modelFolder: folder, data: shared, length: length, parallel: ParallelSection(),
          world: world, workspace: Workspace()
        ).run(byPosition: true)
      }[0]
      #expect(result.bytes == bytes, "\(ranks) ranks, windows of \(length)")
      #expect(result.positions?.bins.map(\.bytes).reduce(0, +) == bytes)
    }
    // A tokenizer that is named, as bytes, is not that of the tokens.
    data.tokenizer = "bytes"
    let unknown = try StreamEvaluation(
      modelFolder: folder, data: data, length: 20, parallel: ParallelSection(),
      world: SoloCommunicator(), workspace: Workspace()
    ).run()
    #expect(unknown.bytes == nil && unknown.bitsPerByte == nil)
  }

  @Test("Stops are found across parts, the first one counts, and what is none is shown")
  func stops() {
    var stops = StopStrings(["END", "ND!"])
    #expect(stops.append("aE") == ("a", false))
    #expect(stops.append("N") == ("", false))
    #expect(stops.append("x") == ("ENx", false))
    #expect(stops.append("xEND!") == ("x", true))
    var none = StopStrings(["END"])
    #expect(none.append("EN") == ("", false))
    #expect(none.finish() == "EN")
  }
}
