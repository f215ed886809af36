import Tensors

/// What crosses one seam, values and gradients.
///
/// The seam's other side may be a rank, a segment, an evaluation window, the next step or a generated token:
/// this type serves all. A slot without a value is zero: nothing has come before.
package final class Carry {
  /// What crosses in the forward pass.
  package var values: [CarrySlot: Tensor] = [:]
  /// What crosses back.
  package var gradients: [CarrySlot: Tensor] = [:]

  package init() {}

  /// Lets go of the windows that a later carry contains: those from which nothing has fallen out since, in
  /// any row.
  ///
  /// - Parameters:
  ///   - later: The carry after the part that this one stands before.
  ///   - tokens: Tokens of that part.
  package func release(containedIn later: Carry, tokens: Int, in workspace: Workspace) {
    for (slot, window) in values where slot.content == .window {
      guard let longer = later.values[slot], longer.shape[1] == window.shape[1] + tokens
      else { continue }
      let lengths = CarrySlot(layer: slot.layer, .windowLengths)
      if let own = values[lengths], let grown = later.values[lengths] {
        let isWhole = workspace.known(assuming: true) {
          (0..<own.count).allSatisfy {
            grown.pointer[$0].countInBits == own.pointer[$0].countInBits + tokens
          }
        }
        guard isWhole else { continue }
      }
      values[slot] = nil
      released[slot] = window.shape
    }
  }

  /// Takes back what was let go, from the carry that contains it.
  package func restore(from later: Carry, in workspace: Workspace) {
    for (slot, shape) in released {
      guard let longer = later.values[slot] else {
        preconditionFailure("the window of layer \(slot.layer) is not in the later carry")
      }
      let window = Tensor(shape, pool: workspace.pool)
      let count = shape[1] * shape[2]
      workspace.compute(.attention) {
        for row in 0..<shape[0] {
          (window.pointer + row * count).update(
            from: longer.pointer + row * longer.shape[1] * shape[2], count: count)
        }
      }
      values[slot] = window
    }
    released = [:]
  }

  private var released: [CarrySlot: Shape] = [:]

  /// Bytes held.
  package var bytes: Int {
    (Array(values.values) + Array(gradients.values)).reduce(0) { $0 + 4 * $1.count }
  }
}
