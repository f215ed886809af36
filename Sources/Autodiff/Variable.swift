import Tensors

/// A value on the tape and the gradient that has reached it so far.
package final class Variable {
  /// The value.
  package let value: Tensor
  /// Whether a gradient is wanted.
  package let needsGradient: Bool
  /// The sum of the gradients that have arrived; taken by the op that made the value.
  package private(set) var gradient: Tensor?

  package init(_ value: Tensor, needsGradient: Bool) {
    self.value = value
    self.needsGradient = needsGradient
  }

  /// Extents of the value.
  package var shape: Shape { value.shape }

  /// Adds a finished gradient.
  ///
  /// The first is taken as it is; it may be shared with other variables.
  package func add(gradient new: Tensor, in workspace: Workspace) {
    guard needsGradient else { return }
    precondition(new.count == value.count, "a gradient \(new.shape) for a value \(value.shape)")
    guard gradient != nil else {
      gradient = new
      return
    }
    let (target, _) = gradientTarget(in: workspace)
    workspace.compute(.normsAndGates) {
      workspace.team.parallel(new.count, grain: 1 << 15) { range in
        let (sum, more) = (target.pointer, new.pointer)
        for index in range { sum[index] += more[index] }
      }
    }
  }

  /// Room that an op writes a gradient to, and whether it has to add to what is there.
  ///
  /// An existing sum that other variables share is copied first.
  package func gradientTarget(in workspace: Workspace) -> (tensor: Tensor, accumulate: Bool) {
    guard var sum = gradient else {
      let target = Tensor(value.shape, pool: workspace.pool)
      gradient = target
      return (target, false)
    }
    gradient = nil
    if !isKnownUniquelyReferenced(&sum.buffer) {
      let own = Tensor(sum.shape, pool: workspace.pool)
      let (from, to) = (sum.pointer, own.pointer)
      workspace.compute(.normsAndGates) { to.update(from: from, count: own.count) }
      sum = own
    }
    gradient = sum
    return (sum, true)
  }

  /// Hands the gradient over and forgets it.
  func takeGradient() -> Tensor? {
    defer { gradient = nil }
    return gradient
  }
}
