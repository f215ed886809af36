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
  package func embedding(_ tokens: [Int32], table: Parameter, scale: Float = 1) -> Variable {
    let shape = parameters.table[table].shape
    let (vocabulary, width) = (shape[0], shape[1])
    if let wrong = tokens.first(where: { $0 < 0 || $0 >= vocabulary }) {
      preconditionFailure("token \(wrong) beyond a vocabulary of \(vocabulary)")
    }
    let y = Tensor([tokens.count, width], pool: pool)
    workspace.compute(.embedding) {
      tokens.withUnsafeBufferPointer { tokens in
        guard let base = tokens.baseAddress else { return }
        // All threads read the tokens and the table.
        nonisolated(unsafe) let (ids, rows) = (base, UnsafePointer(parameters.value(table)))
        workspace.team.parallel(tokens.count, grain: max(1, Tape.grain / max(width, 1))) {
          Embedding.forward(
            rows, tokens: ids, scale: scale, into: y.pointer, positions: $0,
            width: width)
        }
      }
    }
    return record(y, always: trains(table)) { [unowned self] dy in
      let count = tokens.count
      workspace.compute(.embedding) {
        tokens.withUnsafeBufferPointer { tokens in
          guard let base = tokens.baseAddress else { return }
          // All threads read the tokens; each adds to columns of its own.
          nonisolated(unsafe) let (ids, gradients) = (base, parameters.gradient(table))
          workspace.team.parallel(width, grain: 64) {
            Embedding.backward(
              dy.pointer, tokens: ids, scale: scale, into: gradients, count: count, width: width,
              columns: $0)
          }
        }
      }
    }
  }
}
