import Autodiff
import Checkpoints
import MessagePassing
import Models
import Reporting
import SequenceParallel
import Tensors

/// Continues a sequence token by token from the recurrent state: constant memory and time a token.
package final class Generator {
  /// The model.
  package let model: LanguageModel
  private let context: RankContext
  private let store: WholeParameters
  private var carry = Carry()
  private var position = 0

  /// Opens a model.
  package init(modelFolder: String, workspace: Workspace) throws {
    let folder = try ModelFolder(path: modelFolder)
    Notices.print(folder.notices)
    model = folder.model
    context = RankContext(
      workspace: workspace, sequence: SoloCommunicator(), exchange: ChainExchange())
    store = WholeParameters(table: model.table, gradients: false, pool: workspace.pool)
    try folder.read(into: store)
  }

  /// Reads tokens, in windows of at most 1,024, and gives the logits of what follows the last one.
  ///
  /// - Parameter tokens: At least one, each below the model's vocabulary.
  package func read(_ tokens: [Int32]) throws -> [Float] {
    precondition(!tokens.isEmpty, "nothing to read")
    var last: [Float] = []
    for start in stride(from: 0, to: tokens.count, by: 1024) {
      let window = Array(tokens[start..<min(start + 1024, tokens.count)])
      let layout = SequenceLayout(
        shardLengths: [window.count], rank: 0, rows: 1, start: position)
      let right = Carry()
      let pass = SequencePass(
        context: context, layout: layout, left: carry, right: right, keepsRight: true)
      let tape = Tape(workspace: context.workspace, parameters: store, recording: false)
      let logits = Tensor([window.count, model.vocabulary], pool: context.workspace.pool)
      _ = try model(
        window, targets: [Int32](repeating: -1, count: window.count), tape: tape, pass: pass,
        logits: logits.pointer)
      carry = right
      position += window.count
      let row = logits.pointer + (window.count - 1) * model.vocabulary
      last = Array(UnsafeBufferPointer(start: row, count: model.vocabulary))
    }
    if let wrong = last.first(where: { !$0.isFinite }) {
      throw NotFiniteError("a logit of token \(position)", Double(wrong))
    }
    return last
  }
}
