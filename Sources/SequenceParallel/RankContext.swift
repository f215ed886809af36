import Measurement
import MessagePassing
import Tensors

/// Everything one rank works with: memory, threads, figures, and the ranks that share its sequence.
///
/// It is passed explicitly; there are no globals.
public final class RankContext {
  /// Memory, threads, figures and the poll.
  public let workspace: Workspace
  /// The ranks that share this rank's sequence, in the sequence's order.
  public let sequence: any Communicator
  /// How states cross the ranks of the sequence group.
  public let exchange: any StateExchange

  /// Puts a rank's things together; from now on the workspace's poll drives `exchange`.
  public init(
    workspace: Workspace, sequence: any Communicator, exchange: any StateExchange
  ) {
    self.workspace = workspace
    self.sequence = sequence
    self.exchange = exchange
    workspace.poll = { try exchange.poll() }
  }

  /// The rank's figures.
  public var counters: Counters { workspace.counters }
}
