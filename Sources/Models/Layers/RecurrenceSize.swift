import Kernels

/// The size of one recurrence, for the formula that counts its operations.
package struct RecurrenceSize: Sendable {
  /// Operations a token, forward and backward, with chunks of 64 tokens whatever the kernel's.
  ///
  /// Concretely: `3 H (2C(K+V) + 4KV)`; for the delta family, whose chunks also solve a triangular system,
  /// `3 H (2C(3K+2V) + 6KV)`; for elementwise recurrences three times a state's, an exponential counted as one.
  package let operationsPerToken: Double

  /// The size of a kernel's work.
  ///
  /// - Parameters:
  ///   - heads: Heads of the state.
  ///   - parts: Heads of the kernel that a head's values are cut into.
  ///   - steps: Steps a token.
  package init(_ kernel: any RecurrenceKernel, heads: Int, parts: Int = 1, steps: Int = 1) {
    let (k, v, c) = (
      Double(kernel.keyDimension), Double(kernel.valueDimension * parts), 64.0
    )
    let isDelta = kernel.mapKind == .matrix
    let each = isDelta ? 2 * c * (3 * k + 2 * v) + 6 * k * v : 2 * c * (k + v) + 4 * k * v
    operationsPerToken = 3 * Double(heads * steps) * each
  }

  private init(operationsPerToken: Double) { self.operationsPerToken = operationsPerToken }

  /// The size of a recurrence whose states do not meet.
  ///
  /// - Parameters:
  ///   - states: Numbers of the state.
  ///   - operations: Of each, forward.
  package static func elementwise(states: Int, operations: Int) -> RecurrenceSize {
    RecurrenceSize(operationsPerToken: 3 * Double(states * operations))
  }
}
