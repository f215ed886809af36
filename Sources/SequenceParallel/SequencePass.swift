import Tensors

/// One pass of this rank's shard through the model: the layout, and the seams on both sides.
///
/// Concretely: `left` holds what enters the sequence on the group's first rank (from an earlier segment,
/// window, step or token), `right` receives what leaves it on the last. The gradients go the other way.
package final class SequencePass {
  /// The rank's memory, threads and communicators.
  package let context: RankContext
  /// Where every rank's shard lies.
  package let layout: SequenceLayout
  /// The seam before the whole sequence; read on the group's first rank only.
  package let left: Carry
  /// The seam after the whole sequence; values on the group's last rank only.
  package let right: Carry
  /// The training step, for the identity of messages.
  package let step: Int
  /// The segment, for the identity of messages.
  package let segment: Int
  /// Whether the last rank's outgoing states are wanted in `right`.
  package let keepsRight: Bool
  /// Whether the gradients of what entered rank 0's shard are wanted in `left`.
  package let wantsLeftGradients: Bool
  /// Whether it runs once, and nothing comes back through it: ops may compute what their twins could not use.
  package let runsOnce: Bool

  /// What ops keep from one run of theirs to the next.
  package let memory = PassMemory()

  package init(
    context: RankContext, layout: SequenceLayout, left: Carry = Carry(), right: Carry = Carry(),
    step: Int = 0, segment: Int = 0, keepsRight: Bool = false, wantsLeftGradients: Bool = false,
    runsOnce: Bool = false
  ) {
    self.context = context
    self.layout = layout
    self.left = left
    self.right = right
    self.step = step
    self.segment = segment
    self.keepsRight = keepsRight
    self.wantsLeftGradients = wantsLeftGradients
    self.runsOnce = runsOnce
  }

  /// Whether this rank holds what leaves the sequence, which is wanted; in a rehearsal, where nothing can be
  /// received, the first rank makes it too.
  var holdsRight: Bool {
    keepsRight && (isLast || (isFirst && !context.sequence.delivers))
  }

  /// Whether this rank holds the gradients of what entered the sequence, which are wanted; in a rehearsal
  /// the last rank makes them too.
  var holdsLeftGradients: Bool {
    wantsLeftGradients && (isFirst || (isLast && !context.sequence.delivers))
  }

  private var isFirst: Bool { layout.rank == 0 }
  private var isLast: Bool { layout.rank == layout.shardLengths.count - 1 }

  /// Lets go of what a later run of the same pass can work out again without communicating.
  package func suspend() { memory.suspend() }

  /// Bytes held while the pass is suspended, so that a later run of it communicates nothing.
  package var keptBytes: Int { left.bytes + memory.suspendedBytes }
}
