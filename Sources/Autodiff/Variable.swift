import Tensors

/// A value on the tape and the gradient that has reached it so far.
package final class Variable {
  /// The value.
  package let value: Tensor
  /// The gradient so far: what an op remembers that reads no value on its way back.
  let sum: GradientSum
  /// The value as products read it, once one has.
  private var rounded: Operand?

  package init(_ value: Tensor, needsGradient: Bool) {
    self.value = value
    sum = GradientSum(value.shape, isNeeded: needsGradient)
  }

  /// Extents of the value.
  package var shape: Shape { value.shape }

  /// The value as products read it; what is made for them is made once, and may take memory.
  func operand(in workspace: Workspace) -> Operand {
    if let rounded { return rounded }
    let operand = workspace.operand(of: value)
    if operand.kind != .float { rounded = operand }
    return operand
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

  /// Hands the gradient over and forgets it.
  func takeGradient() -> Tensor? { sum.take() }
}
