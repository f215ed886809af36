import Tensors

/// Names one thing that crosses a seam.
public struct CarrySlot: Hashable, Sendable {
  /// What it is.
  public enum Kind: Hashable, Sendable {
    /// The state of a recurrence; a layer with several counts them.
    case state(Int)
    /// The last inputs of a short convolution or token shift.
    case halo(Int)
    /// The last keys and values of an attention window, or all of them: `[rows, tokens, keys + values]`.
    case window
    /// How many of the window's tokens, counted from its end, each row sees: `[rows]`.
    case windowLengths
  }

  /// The block it belongs to.
  public let layer: Int
  /// What it is.
  public let kind: Kind

  /// Names a slot.
  public init(layer: Int, _ kind: Kind) {
    self.layer = layer
    self.kind = kind
  }
}

/// What crosses one seam, values and gradients.
///
/// The seam's other side may be a rank, a segment, an evaluation window, the next step or a generated token:
/// this type serves all. A slot without a value is zero: nothing has come before.
public final class Carry {
  /// What crosses in the forward pass.
  public var values: [CarrySlot: Tensor] = [:]
  /// What crosses back.
  public var gradients: [CarrySlot: Tensor] = [:]

  /// Makes an empty carry.
  public init() {}

  /// Bytes held.
  public var bytes: Int {
    (Array(values.values) + Array(gradients.values)).reduce(0) { $0 + 4 * $1.count }
  }
}
