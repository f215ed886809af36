import Faults
import Foundation
import Reporting
import Tensors
import Tokenizers

/// `lasp-train generate`: text from a trained model, as it comes.
package struct Generation {
  /// How the prompt is written for the model.
  package enum Form: Equatable, Sendable {
    /// As a text, which the tokenizer begins as every text.
    case text
    /// As it is, with nothing around it.
    case raw
    /// As a question in the model's dialogue, after what it is told before.
    case chat(system: String?)
  }

  /// Folder with `config.json` and `model.safetensors`.
  package var modelFolder: String
  /// The folder of an adapter of the model, or nil.
  package var adapter: String?
  /// Text to continue, or to answer.
  package var prompt: String
  /// How it is written.
  package var form = Form.text
  /// Number of tokens to generate at most.
  package var tokens: Int
  /// Texts that end what is generated, and are not shown.
  package var stops: [String] = []
  /// How each token is chosen.
  package var sampler: Sampler
  /// Threads; 0 for one.
  package var threads: Int
  /// What computes products.
  package var products: ProductSettings
  /// Where is shown how far the reading of the prompt is.
  package var progress: ProgressDisplay?

  package init(
    modelFolder: String, adapter: String? = nil, prompt: String, tokens: Int, sampler: Sampler,
    threads: Int, products: ProductSettings = .plain
  ) {
    (self.modelFolder, self.adapter) = (modelFolder, adapter)
    (self.prompt, self.tokens) = (prompt, tokens)
    (self.sampler, self.threads, self.products) = (sampler, threads, products)
  }

  /// Prints the prompt, unless it is a question, and what follows it.
  package func run() throws {
    try run { try StandardStreams.write($0) }
  }

  /// Gives the prompt, unless it is a question, and what follows it, to a function.
  func run(_ emit: (String) throws -> Void) throws {
    let workspace = Workspace(threads: max(1, threads), products: products)
    BLAS.setThreads(workspace.team.size)
    let generator = try Generator(modelFolder: modelFolder, adapter: adapter, workspace: workspace)
    let prompt = try Prompt(
      self.prompt, form, tokenizer: try generator.tokenizer(),
      vocabulary: generator.model.vocabulary)
    var decoder = StreamingDecoder(prompt.tokenizer)
    if !prompt.isQuestion {
      // What follows goes on within the text, and perhaps within a character.
      var shown = ""
      for token in prompt.tokens { shown += decoder.append(token) }
      try emit(form == .raw ? shown : self.prompt)
    }
    var stops = StopStrings(self.stops)
    var logits = try generator.read(prompt.tokens, progress: progress)
    progress?.end()
    for index in 0..<tokens {
      let token = sampler.choose(logits, index: index)
      if prompt.endTokens.contains(token) { break }
      let (text, isStopped) = stops.append(decoder.append(token))
      try emit(text)
      if isStopped { return try emit("\n") }
      if index + 1 < tokens { logits = try generator.read([token]) }
    }
    let (text, isStopped) = stops.append(decoder.finish())
    try emit(text + (isStopped ? "" : stops.finish()) + "\n")
  }
}

/// A prompt as a model reads it.
struct Prompt {
  /// Its tokens, at least one.
  let tokens: [Int32]
  /// What makes text of them.
  let tokenizer: any Tokenizer
  /// Tokens that end what follows.
  let endTokens: Set<Int32>
  /// Whether an answer follows, which is a text of its own.
  let isQuestion: Bool

  /// Writes a prompt.
  ///
  /// - Parameters:
  ///   - tokenizer: The model's; nil for one of bytes.
  ///   - vocabulary: Number of tokens that the model knows.
  /// - Throws: `GenerationError` for an empty prompt, for a dialogue whose form is not known, or for a model of other
  ///   tokens than bytes without a tokenizer; `TokenizerError.misfit`.
  init(
    _ text: String, _ form: Generation.Form, tokenizer: ModelTokenizer?, vocabulary: Int
  ) throws {
    guard !text.isEmpty else { throw GenerationError.emptyPrompt }
    if case .chat = form { isQuestion = true } else { isQuestion = false }
    guard let tokenizer else {
      let bytes = ByteTokenizer()
      (self.tokenizer, endTokens, tokens) = (bytes, [], bytes.encode(text))
      guard !isQuestion else {
        throw GenerationError.noTemplate(reason: "the model is one of bytes")
      }
      guard tokens.allSatisfy({ Int($0) < vocabulary }), vocabulary <= bytes.vocabulary else {
        throw GenerationError.notBytes(vocabulary: vocabulary)
      }
      return
    }
    try tokenizer.check(vocabulary: vocabulary)
    self.tokenizer = tokenizer.tokenizer
    switch form {
    case .text:
      tokens = tokenizer.tokenizer.opening + tokenizer.tokenizer.encode(text)
      endTokens = tokenizer.endTokens
    case .raw:
      tokens = tokenizer.tokenizer.encodeMarked(text)
      endTokens = tokenizer.endTokens
    case .chat(let system):
      guard let program = tokenizer.chatTemplate else {
        throw GenerationError.noTemplate(reason: "the model's folder has no chat template")
      }
      guard let template = ChatTemplate(program) else {
        throw GenerationError.noTemplate(
          reason:
            "the model's chat template is none of \(ChatTemplate.names.joined(separator: ", "))")
      }
      tokens = tokenizer.tokenizer.encodeMarked(
        template.text(system: system, user: text, begin: tokenizer.beginName))
      endTokens = tokenizer.endTokens.union(
        template.end.flatMap(tokenizer.tokenizer.token(of:)).map { [$0] } ?? [])
    }
    guard !tokens.isEmpty else { throw GenerationError.emptyPrompt }
  }
}

/// Why nothing can be generated.
package enum GenerationError: Error, CustomStringConvertible {
  /// There is nothing to continue.
  case emptyPrompt
  /// The model's tokens are not bytes, and no tokenizer says what they are.
  case notBytes(vocabulary: Int)
  /// Nothing that is known says how a question is written.
  case noTemplate(reason: String)

  /// What is wrong and what to do.
  package var description: String {
    switch self {
    case .emptyPrompt: "the prompt is empty; give it at least one character"
    case .notBytes(let vocabulary):
      "the model knows \(vocabulary) tokens, which are not the 256 bytes, and its folder has no tokenizer; put "
        + "its tokenizer.json or tokenizer.model there"
    case .noTemplate(let reason):
      "\(reason), so --chat cannot write the question; write it yourself as the model expects it, special tokens "
        + "included, and give it with --raw"
    }
  }
}
