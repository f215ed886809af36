import Tensors

/// The choices of experts of a pass, op by op, for those who compare them, or for another pass over the same tokens that takes
/// them over.
///
/// Where two passes differ by roundings, as those of two precisions, a router's choice between experts that are nearly as
/// good may differ; what comes after it is then to be compared by the same choices.
package final class RoutingRecord {
  /// What tokens chose in one run of one router.
  package struct Decisions: Sendable {
    /// The router, shape `[E, D]`.
    package let router: Parameter
    /// Of each token the experts that it takes, in the order of their numbers, `[N, k]`.
    package let choices: [Int32]
    /// Of each token by how much the last of them was better than the best that it does not take, `[N]`, as
    /// `ExpertChoice.forward` tells.
    package let margins: [Float]
    /// Whether the same tokens came to this router before: a block, segment or group of segments that runs again.
    package let isRepeated: Bool
  }

  /// What was recorded, in the order of the runs.
  package private(set) var decisions: [Decisions] = []
  private var next = 0

  package init() {}

  /// Whether passes take over what was recorded.
  package private(set) var isReplaying = false

  /// Passes take over choices from now on, those recorded so far from the first.
  package func replay() { (isReplaying, next) = (true, 0) }

  /// Forgets what was recorded.
  package func clear() { decisions.removeAll(keepingCapacity: true) }

  /// Records what an op decided.
  func record(_ made: Decisions) { decisions.append(made) }

  /// Puts the choices of the same op there.
  func replay(into pointer: UnsafeMutablePointer<Int32>, count: Int) {
    precondition(
      next < decisions.count && decisions[next].choices.count == count,
      "\(count) choices of the router \(next) of \(decisions.count)")
    decisions[next].choices.withUnsafeBufferPointer {
      if let first = $0.baseAddress { pointer.update(from: first, count: count) }
    }
    next += 1
  }
}
