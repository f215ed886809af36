import Foundation
import Tensors
import Tokenizers

/// `lasp-train generate`: text from a trained model, as it comes.
package struct Generation {
  /// Folder with `config.json` and `model.safetensors`.
  package var modelFolder: String
  /// The folder of an adapter of the model, or nil.
  package var adapter: String?
  /// Text to continue.
  package var prompt: String
  /// Number of tokens to generate.
  package var tokens: Int
  /// How each is chosen.
  package var sampler: Sampler
  /// Threads; 0 for one.
  package var threads: Int

  package init(
    modelFolder: String, adapter: String? = nil, prompt: String, tokens: Int, sampler: Sampler,
    threads: Int
  ) {
    (self.modelFolder, self.adapter) = (modelFolder, adapter)
    (self.prompt, self.tokens) = (prompt, tokens)
    (self.sampler, self.threads) = (sampler, threads)
  }

  /// Prints the prompt and what follows it.
  package func run() throws {
    let workspace = Workspace(threads: max(1, threads))
    BLAS.setThreads(workspace.team.size)
    let generator = try Generator(modelFolder: modelFolder, adapter: adapter, workspace: workspace)
    let tokenizer = TokenizerKind.bytes.make()
    let start = tokenizer.encode(prompt)
    guard !start.isEmpty else { throw GenerationError.emptyPrompt }
    let vocabulary = generator.model.vocabulary
    guard start.allSatisfy({ Int($0) < vocabulary }), vocabulary <= tokenizer.vocabulary else {
      throw GenerationError.notBytes(vocabulary: vocabulary)
    }
    var decoder = StreamingDecoder(tokenizer)
    emit(prompt)
    var logits = try generator.read(start)
    for index in 0..<tokens {
      let token = sampler.choose(logits, index: index)
      emit(decoder.append(token))
      if index + 1 < tokens { logits = try generator.read([token]) }
    }
    emit(decoder.finish() + "\n")
  }

  private func emit(_ text: String) {
    FileHandle.standardOutput.write(Data(text.utf8))
  }
}

/// Why nothing can be generated.
package enum GenerationError: Error, CustomStringConvertible {
  /// There is nothing to continue.
  case emptyPrompt
  /// The model's tokens are not bytes.
  case notBytes(vocabulary: Int)

  /// What is wrong and what to do.
  package var description: String {
    switch self {
    case .emptyPrompt: "the prompt is empty; give --prompt at least one character"
    case .notBytes(let vocabulary):
      "the model knows \(vocabulary) tokens, which are not the 256 bytes that a prompt is made of; use a "
        + "model that was trained on bytes"
    }
  }
}
