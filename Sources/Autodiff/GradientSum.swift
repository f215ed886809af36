import Tensors

/// The sum of the gradients that have reached a value; it does not keep the value.
package final class GradientSum {
  /// Extents of the value.
  private let shape: Shape
  /// Whether a gradient is wanted.
  let isNeeded: Bool
  /// The sum so far; nil for nothing.
  private(set) var tensor: Tensor?

  init(_ shape: Shape, isNeeded: Bool) { (self.shape, self.isNeeded) = (shape, isNeeded) }

  /// Adds a finished gradient, of which the first is taken as it is.
  package func add(_ new: Tensor, in workspace: Workspace) {
    guard isNeeded else { return }
    precondition(new.count == shape.count, "a gradient \(new.shape) for a value \(shape)")
    guard tensor != nil else {
      tensor = new
      return
    }
    let (target, _) = target(in: workspace)
    workspace.compute(.normsAndGates) {
      workspace.team.parallel(new.count, grain: 1 << 15) { range in
        let (sum, more) = (target.pointer, new.pointer)
        for index in range { sum[index] += more[index] }
      }
    }
  }

  /// Room to write a gradient to, and whether there is one already that has to be added to.
  ///
  /// A sum that is shared is copied first.
  package func target(in workspace: Workspace) -> (tensor: Tensor, accumulate: Bool) {
    guard var sum = tensor else {
      let target = Tensor(shape, pool: workspace.pool)
      tensor = target
      return (target, false)
    }
    tensor = nil
    if !isKnownUniquelyReferenced(&sum.buffer) {
      let own = Tensor(sum.shape, pool: workspace.pool)
      let (from, to) = (sum.pointer, own.pointer)
      workspace.compute(.normsAndGates) { to.update(from: from, count: own.count) }
      sum = own
    }
    tensor = sum
    return (sum, true)
  }

  /// Hands the sum over and forgets it.
  func take() -> Tensor? {
    defer { tensor = nil }
    return tensor
  }
}
