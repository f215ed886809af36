import Kernels
import Measurement
import Tensors

extension Tape {
  /// Rows of an embedding table: `y_n = scale · table[tokens_n]`.
  ///
  /// - Parameters:
  ///   - tokens: `rows × length` token ids, each below the table's first extent.
  ///   - table: Shape `[vocabulary, width]`.
  /// - Returns: Shape `[tokens.count, width]`.
  public func embedding(_ tokens: [Int32], table: Parameter, scale: Float = 1) -> Variable {
    let shape = parameters.table[table].shape
    let (vocabulary, width) = (shape[0], shape[1])
    if let wrong = tokens.first(where: { $0 < 0 || $0 >= vocabulary }) {
      preconditionFailure("token \(wrong) beyond a vocabulary of \(vocabulary)")
    }
    let y = Tensor([tokens.count, width], pool: pool)
    workspace.compute(.embedding) {
      tokens.withUnsafeBufferPointer { tokens in
        guard let ids = tokens.baseAddress else { return }
        nonisolated(unsafe) let base = ids
        workspace.team.parallel(tokens.count, grain: max(1, Tape.grain / max(width, 1))) {
          Embedding.forward(
            parameters.value(table), tokens: base, scale: scale, into: y.pointer, positions: $0,
            width: width)
        }
      }
    }
    return record(y, always: true) { [unowned self] dy in
      workspace.compute(.embedding) {
        tokens.withUnsafeBufferPointer { tokens in
          guard let ids = tokens.baseAddress else { return }
          nonisolated(unsafe) let base = ids
          workspace.team.parallel(width, grain: 64) {
            Embedding.backward(
              dy.pointer, tokens: base, scale: scale, into: parameters.gradient(table),
              count: tokens.count, width: width, columns: $0)
          }
        }
      }
    }
  }
}
