import Autodiff
import MessagePassing
import Models
import Reporting
import SequenceParallel
import Tensors

/// What the layers of a model carry from token to token, per sequence.
///
/// It is read off what a rehearsed pass over one token leaves behind, so that it cannot differ from what a run carries.
struct StateSize {
  /// The most numbers of states that a layer has.
  let perLayer: Int
  /// The most numbers of keys and values that a layer keeps of each token it still sees.
  let perToken: Int
  /// Bytes of all states, halos and, of one token, keys and values.
  let bytes: Int

  /// Rehearses a token.
  init(of model: LanguageModel) throws {
    let runner = ModelRunner(
      model, sequence: RehearsalCommunicator(rank: 0, size: 1),
      workspace: Workspace(executor: .rehearsing))
    let layout = SequenceLayout(shardLengths: [1], rank: 0, rows: 1)
    let pass = SequencePass(context: runner.context, layout: layout, keepsRight: true)
    _ = try runner.forward([0], targets: [-1], pass: pass)
    var (states, tokens) = ([Int: Int](), [Int: Int]())
    for (slot, tensor) in pass.right.values {
      switch slot.content {
      case .state: states[slot.layer, default: 0] += tensor.count
      case .window: tokens[slot.layer, default: 0] += tensor.count
      case .halo, .windowLengths: break
      }
    }
    perLayer = states.values.max() ?? 0
    perToken = tokens.values.max() ?? 0
    bytes = pass.right.bytes
  }

  /// The state of a layer, such as `1,024`, `128 a token` or both.
  var text: String {
    let parts =
      (perLayer > 0 ? [Format.grouped(perLayer)] : [])
      + (perToken > 0 ? ["\(Format.grouped(perToken)) a token"] : [])
    return parts.isEmpty ? "–" : parts.joined(separator: " + ")
  }
}
