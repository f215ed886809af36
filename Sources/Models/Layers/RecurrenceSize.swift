import Kernels

/// The size of one recurrence, for the formula that counts its operations.
package struct RecurrenceSize: Sendable {
  /// Heads of the state.
  package let heads: Int
  /// Key and value dimensions of a head.
  package let keyDimension, valueDimension: Int
  /// Whether it is of the delta family, whose chunks also solve a triangular system.
  package let isDelta: Bool

  package init(heads: Int, keyDimension: Int, valueDimension: Int, isDelta: Bool) {
    (self.heads, self.isDelta) = (heads, isDelta)
    (self.keyDimension, self.valueDimension) = (keyDimension, valueDimension)
  }

  /// The size of a kernel's work.
  ///
  /// - Parameters:
  ///   - heads: Heads of the state.
  ///   - parts: Heads of the kernel that a head's values are cut into.
  ///   - steps: Steps a token.
  package init(_ kernel: any RecurrenceKernel, heads: Int, parts: Int = 1, steps: Int = 1) {
    self.init(
      heads: heads * steps, keyDimension: kernel.keyDimension,
      valueDimension: kernel.valueDimension * parts, isDelta: kernel.mapKind == .matrix)
  }

  /// Operations a token, forward and backward, with chunks of 64 tokens whatever the kernel's.
  ///
  /// Concretely: `3 H (2C(K+V) + 4KV)`; for the delta family `3 H (2C(3K+2V) + 6KV)`.
  package var operationsPerToken: Double {
    let (k, v, c) = (Double(keyDimension), Double(valueDimension), 64.0)
    let each = isDelta ? 2 * c * (3 * k + 2 * v) + 6 * k * v : 2 * c * (k + v) + 4 * k * v
    return 3 * Double(heads) * each
  }
}
