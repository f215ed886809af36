import Foundation
import Tensors
import Tokenizers

/// `lasp-train generate`: text from a trained model, as it comes.
public enum Generation {
  /// Prints the prompt and what follows it.
  public static func run(_ request: GenerateRequest) throws {
    let threads = request.configuration.threads
    let workspace = Workspace(threads: threads > 0 ? threads : 1)
    BLAS.setThreads(workspace.team.size)
    let generator = try Generator(modelFolder: request.modelFolder, workspace: workspace)
    let tokenizer = ByteTokenizer()
    let prompt = tokenizer.encode(request.prompt)
    guard !prompt.isEmpty else { throw GenerationError.emptyPrompt }
    let vocabulary = generator.model.vocabulary
    guard prompt.allSatisfy({ Int($0) < vocabulary }), vocabulary <= tokenizer.vocabulary else {
      throw GenerationError.notBytes(vocabulary: vocabulary)
    }
    let sampler = Sampler(
      temperature: request.temperature, topK: request.topK, topP: request.topP,
      seed: request.seed)
    var decoder = StreamingDecoder(tokenizer)
    emit(request.prompt)
    var logits = try generator.read(prompt)
    for index in 0..<request.tokens {
      let token = sampler.choose(logits, index: index)
      emit(decoder.append(token))
      if index + 1 < request.tokens { logits = try generator.read([token]) }
    }
    emit(decoder.finish() + "\n")
  }

  private static func emit(_ text: String) {
    FileHandle.standardOutput.write(Data(text.utf8))
  }
}

/// Why nothing can be generated.
public enum GenerationError: Error, CustomStringConvertible {
  /// There is nothing to continue.
  case emptyPrompt
  /// The model's tokens are not bytes.
  case notBytes(vocabulary: Int)

  /// What is wrong and what to do.
  public var description: String {
    switch self {
    case .emptyPrompt: "the prompt is empty; give --prompt at least one character"
    case .notBytes(let vocabulary):
      "the model knows \(vocabulary) tokens, which are not the 256 bytes that a prompt is made of; use a "
        + "model that was trained on bytes"
    }
  }
}
