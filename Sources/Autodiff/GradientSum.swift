import Tensors

/// The sum of the gradients that have reached a value; it does not keep the value.
package final class GradientSum {
  /// Extents of the value.
  let shape: Shape
  /// Whether a gradient is wanted.
  package let isNeeded: Bool
  /// Who reads the sum in the end: where products alone do, the op that makes it may round it for them.
  private let readers: Readers
  /// The sum so far; nil for nothing, or where it has been rounded.
  private(set) var tensor: Tensor?
  /// The first gradient, where its op has rounded it.
  private var rounded: Operand?

  init(_ shape: Shape, isNeeded: Bool, readers: Readers = .any) {
    (self.shape, self.isNeeded, self.readers) = (shape, isNeeded, readers)
  }

  private var isEmpty: Bool { tensor == nil && rounded == nil }

  /// Adds a finished gradient, of which the first is taken as it is.
  package func add(_ new: Tensor, in workspace: Workspace) {
    guard isNeeded else { return }
    precondition(new.count == shape.count, "a gradient \(new.shape) for a value \(shape)")
    if isEmpty {
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

  /// The same for one that its op may have rounded.
  package func add(_ new: Operand, in workspace: Workspace) {
    guard new.kind == .bfloat16, isEmpty else {
      return add(workspace.tensor(of: new, shape), in: workspace)
    }
    if isNeeded { rounded = new }
  }

  /// Room for a gradient that `add` gets when it is finished.
  func newGradient(in workspace: Workspace) -> Operand {
    workspace.room(for: shape, readers: isEmpty ? readers : .any)
  }

  /// Room to write a gradient to, and whether there is one already that has to be added to.
  ///
  /// A sum that is shared is copied first.
  package func target(in workspace: Workspace) -> (tensor: Tensor, accumulate: Bool) {
    if let rounded {
      tensor = workspace.tensor(of: rounded, shape)
      self.rounded = nil
    }
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

  /// The same for an op that rounds what it writes where it is the first and products alone read it.
  func room(in workspace: Workspace) -> (room: Operand, accumulate: Bool) {
    guard isEmpty, readers == .products else {
      let (tensor, accumulate) = target(in: workspace)
      return (Operand(tensor), accumulate)
    }
    let room = workspace.room(for: shape, readers: readers)
    if room.kind == .float { tensor = room.tensor(shape) } else { rounded = room }
    return (room, false)
  }

  /// Hands the sum over and forgets it.
  func take() -> Operand? {
    defer { (tensor, rounded) = (nil, nil) }
    return rounded ?? tensor.map { Operand($0) }
  }
}
