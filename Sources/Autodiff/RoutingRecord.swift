import Tensors

/// The choices of experts of a pass, op by op, that another pass over the same tokens takes over.
///
/// Where two passes differ by roundings, as those of two precisions, a router's choice between experts that are nearly as
/// good may differ; what comes after it is then to be compared by the same choices.
package final class RoutingRecord {
  private var choices: [[Int32]] = []
  private var next = 0

  package init() {}

  /// Choices that a pass takes over from now on, those recorded so far from the first.
  package private(set) var isReplaying = false

  /// Begins to replay.
  package func replay() { (isReplaying, next) = (true, 0) }

  /// Records an op's choices, or puts those of the same op there.
  func pass(_ pointer: UnsafeMutablePointer<Int32>, count: Int) {
    guard isReplaying else {
      choices.append(Array(UnsafeBufferPointer(start: pointer, count: count)))
      return
    }
    precondition(
      next < choices.count && choices[next].count == count,
      "\(count) choices of the router \(next) of \(choices.count)")
    choices[next].withUnsafeBufferPointer {
      if let first = $0.baseAddress { pointer.update(from: first, count: count) }
    }
    next += 1
  }
}
