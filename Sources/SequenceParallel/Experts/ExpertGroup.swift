import MessagePassing
import Tensors

/// The ranks over which each layer's experts are dealt, as one of them sees it.
package final class ExpertGroup {
  /// How many tokens a rehearsal, in which nobody chooses, assumes to come to this rank's experts.
  package enum Load: Sendable, Hashable {
    /// All experts are chosen as often.
    case expected
    /// All tokens of the group choose as many of this rank's experts as they can, and its own tokens as many of others.
    case worst
  }

  /// How experts are dealt.
  let shape: ExpertShape
  /// The group, on a communicator of its own.
  let ranks: any Communicator
  /// What a rehearsal assumes.
  let load: Load
  /// Tokens that are leaving this rank.
  let outbox = Outbox()
  /// What waits for tokens while the rank computes something else.
  weak var coming: ExpertExchange?
  private let first: Int
  private var registration: Progress.Registration?

  /// Makes this rank's group, collective; nil where every rank has all experts.
  ///
  /// - Parameters:
  ///   - world: All ranks.
  ///   - load: What a rehearsal assumes.
  ///   - workspace: From now on it moves on the group's messages too.
  package init?(
    _ shape: ExpertShape, world: any Communicator, assuming load: Load = .expected,
    in workspace: Workspace
  ) throws {
    guard shape.size > 1 else { return nil }
    (self.shape, self.load) = (shape, load)
    first = shape.group(of: world.rank) * shape.size
    ranks = try world.split(coloring: shape.group(of:))
    // As many rows as choose this rank's experts.
    workspace.pool.expectVaryingSizes()
    // A rehearsal holds what was sent until what it led to has come home: earlier it need not have left.
    registration = workspace.progress.add(hasPeers: true, movesWhenWaitedFor: true) {
      [unowned self] in
      try outbox.poll()
      try coming?.advance()
    }
  }

  /// A member's number in the world.
  func worldRank(of member: Int) -> Int { first + member }

  /// The members but this rank.
  var others: [Int] { (0..<ranks.size).filter { $0 != ranks.rank } }

  /// Waits until everything sent has left.
  func drain() throws { try outbox.drain() }
}
