import Tensors

extension WholeParameters {
  /// Adds adapters to the weights of their projections, `W ← W + s · B A`, and clears every B, so that the model stays the
  /// same.
  ///
  /// - Returns: How many weights changed.
  package func mergeAdapters() -> Int {
    for (weight, adapter) in table.adapters {
      let (rows, columns) = (table[weight].shape.rows, table[weight].shape.columns)
      let (down, up, rank) = (
        value(adapter.down), value(adapter.up), table[adapter.down].shape.rows
      )
      BLAS.multiply(
        up, lda: rank, down, ldb: columns, into: value(weight), ldc: columns, m: rows, n: columns,
        k: rank, alpha: adapter.scale, beta: 1)
      up.update(repeating: 0, count: rows * rank)
    }
    return table.adapters.count
  }
}
