import Autodiff
import Checkpoints
import MessagePassing
import Models
import Reporting
import SequenceParallel
import Tensors
import Tokenizers

/// Continues a sequence token by token from the recurrent state: constant memory and time a token.
package final class Generator {
  /// The model.
  package var model: LanguageModel { runner.model }
  private let runner: ModelRunner<WholeParameters>
  /// Where the model lies.
  private let path: String
  private var carry = Carry()
  private var position = 0

  /// Opens a model, with an adapter of it where there is one.
  package init(modelFolder: String, adapter: String? = nil, workspace: Workspace) throws {
    let folder = try ModelFolder(verifying: modelFolder, adapter: adapter)
    Notices.print(folder.notices)
    runner = ModelRunner(folder.model, sequence: SoloCommunicator(), workspace: workspace)
    try folder.read(into: runner.store)
    path = folder.path
  }

  /// The model's tokenizer; nil for a model of bytes.
  ///
  /// - Throws: `TokenizerError` when it cannot be read.
  package func tokenizer() throws(TokenizerError) -> ModelTokenizer? {
    try ModelTokenizer(model: path)
  }

  /// Reads tokens, in windows of at most 1,024, and gives the logits of what follows the last one.
  ///
  /// - Parameters:
  ///   - tokens: At least one, each below the model's vocabulary.
  ///   - progress: Where is shown how far it is.
  package func read(_ tokens: [Int32], progress: ProgressDisplay? = nil) throws -> [Float] {
    precondition(!tokens.isEmpty, "nothing to read")
    var last: [Float] = []
    for start in stride(from: 0, to: tokens.count, by: 1024) {
      let window = Array(tokens[start..<min(start + 1024, tokens.count)])
      let layout = SequenceLayout(
        shardLengths: [window.count], rank: 0, rows: 1, start: position)
      last = try runner.next(window, window: layout, from: &carry).numbers
      position += window.count
      progress?.show(Double(start + window.count), of: Double(tokens.count))
    }
    if let wrong = last.first(where: { !$0.isFinite }) {
      throw NotFiniteError("a logit of token \(position)", Double(wrong))
    }
    return last
  }
}
