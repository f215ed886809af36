import Tensors

/// A value on the tape and the gradient that has reached it so far.
package final class Variable {
  /// Extents of the value.
  package let shape: Shape
  /// The value as it is stored: fp32, or bf16 where products read it.
  package let stored: Operand
  /// The gradient so far: what an op remembers that reads no value on its way back.
  package let sum: GradientSum
  /// Whether the op that made it reads it again on the way back, so that its numbers are kept as they are.
  let isRemembered: Bool
  /// The value as products read it, once one has, or once a twin keeps it so.
  private(set) var rounded: Operand?

  package convenience init(_ value: Tensor, needsGradient: Bool) {
    self.init(Operand(value), value.shape, needsGradient: needsGradient)
  }

  /// - Parameters:
  ///   - gradientReaders: Who reads its gradient on the way back.
  ///   - isRemembered: Whether the op that made it reads it again.
  init(
    _ stored: Operand, _ shape: Shape, needsGradient: Bool, gradientReaders: Readers = .any,
    isRemembered: Bool = false
  ) {
    (self.stored, self.shape, self.isRemembered) = (stored, shape, isRemembered)
    sum = GradientSum(shape, isNeeded: needsGradient, readers: gradientReaders)
  }

  /// The value in fp32, where it is stored so.
  package var value: Tensor {
    precondition(stored.kind == .float, "a value \(shape) for products read by another op")
    return stored.tensor(shape)
  }

  /// The value as products read it; what is made for them is made once, and may take memory.
  package func operand(in workspace: Workspace) -> Operand {
    guard stored.kind == .float else { return stored }
    if let rounded { return rounded }
    let operand = workspace.operand(of: value)
    if operand.kind != .float { rounded = operand }
    return operand
  }

  /// What an op keeps of its argument: what products read where they read another precision, else its own numbers.
  ///
  /// Products that read the value later share what is kept, and what was made for others before is kept.
  func kept(in workspace: Workspace) -> KeptNumbers {
    guard stored.kind == .float, !isRemembered, workspace.products.operands == .bfloat16 else {
      return KeptNumbers(stored, isCopy: false)
    }
    if let rounded { return KeptNumbers(rounded, isCopy: false) }
    let copy = Operand(bfloat16: shape.count, pool: workspace.pool)
    rounded = copy
    return KeptNumbers(copy, isCopy: true)
  }

  /// Whether a gradient is wanted.
  package var needsGradient: Bool { sum.isNeeded }

  /// The sum of the gradients that have arrived; taken by the op that made the value.
  package var gradient: Tensor? { sum.tensor }

  /// Adds a finished gradient.
  ///
  /// The first is taken as it is; it may be shared with other variables.
  package func add(gradient new: Tensor, in workspace: Workspace) {
    sum.add(new, in: workspace)
  }

  /// Room that an op writes a gradient to, and whether it has to add to what is there.
  ///
  /// An existing sum that other variables share is copied first.
  package func gradientTarget(in workspace: Workspace) -> (tensor: Tensor, accumulate: Bool) {
    sum.target(in: workspace)
  }

  /// The same for an op that can round what it writes, where only products read it.
  func gradientRoom(in workspace: Workspace) -> (room: Operand, accumulate: Bool) {
    sum.room(in: workspace)
  }

  /// Room for a gradient that `sum.add` gets when it is finished.
  func newGradient(in workspace: Workspace) -> Operand { sum.newGradient(in: workspace) }

  /// Hands the gradient over and forgets it.
  package func takeGradient() -> Tensor? { sum.take()?.tensor(shape) }
}
