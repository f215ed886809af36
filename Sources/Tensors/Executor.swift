/// Who carries out what ops state.
///
/// An op states its buffers, counters and messages once, and gives its computation to `Workspace.compute`, `run`
/// and `known`. Ops do not ask who it is.
package enum Executor: Sendable {
  /// Computes.
  case computing
  /// Leaves computations out: memory is reserved but never touched, so that memory and messages are those of a
  /// real step. The dry run's figures come from it.
  case rehearsing
}
