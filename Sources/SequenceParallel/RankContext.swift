import Measurement
import MessagePassing
import Tensors

/// Everything one rank works with: memory, threads, figures, and the ranks that share its sequence.
///
/// It is passed explicitly; there are no globals.
package final class RankContext {
  /// Memory, threads, figures and the poll.
  package let workspace: Workspace
  /// The ranks that share this rank's sequence, in the sequence's order.
  package let sequence: any Communicator
  /// How states cross the ranks of the sequence group.
  package let exchange: any StateExchange
  /// How keys and values of attention without a window cross them.
  package let attention: AttentionExchange
  /// The ranks over which experts are dealt; nil where this rank has all.
  package let experts: ExpertGroup?
  /// Halos, keys and values that are leaving this rank.
  let outbox = Outbox()
  private let registration: Progress.Registration

  /// Puts a rank's things together; from now on the workspace moves on the messages of this context too.
  package init(
    workspace: Workspace, sequence: any Communicator, exchange: any StateExchange,
    attention: AttentionExchange = .gather, experts: ExpertGroup? = nil
  ) {
    self.workspace = workspace
    self.sequence = sequence
    self.exchange = exchange
    self.attention = attention
    self.experts = experts
    registration = workspace.progress.add(hasPeers: sequence.size > 1) { [outbox] in
      try exchange.poll()
      try outbox.poll()
    }
  }

  /// Waits until everything sent has left, at the end of a pass.
  package func drain() throws {
    try exchange.drain()
    try outbox.drain()
    try experts?.drain()
  }

  /// The rank's figures.
  package var counters: Counters { workspace.counters }
}
