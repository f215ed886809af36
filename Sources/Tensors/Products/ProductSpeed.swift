import Measurement

/// How fast libraries multiply on one thread, now.
package enum ProductSpeed {
  /// The library that is faster here in products of a layer's size; OpenBLAS where there is no other.
  ///
  /// - Throws: `ProductError` where none computes products of the precision.
  package static func faster(_ precision: Precision) throws(ProductError) -> ProductLibrary {
    guard OneDNN.version != nil, OneDNN.staysOnThread else {
      return try ProductSettings(precision).library
    }
    let other = try ProductSettings(precision, by: .onednn)
    guard other.library == .onednn else { return .openblas }
    return try seconds(other) < seconds(ProductSettings(precision, by: .openblas))
      ? .onednn : .openblas
  }

  /// Seconds of a projection there and back, the shortest of several.
  private static func seconds(_ settings: ProductSettings) -> Double {
    let (count, rows, columns) = (512, 1024, 1024)
    let threads = BLAS.threads
    if threads != 1 { BLAS.setThreads(1) }
    defer { if threads != 1 { BLAS.setThreads(threads) } }
    let workspace = Workspace(products: settings)
    let (pool, products) = (workspace.pool, workspace.products)
    let (x, y) = (Tensor([count, columns], pool: pool), Tensor([count, rows], pool: pool))
    let (w, dW) = (Tensor([rows, columns], pool: pool), Tensor([rows, columns], pool: pool))
    for tensor in [x, y, w, dW] {
      for i in 0..<tensor.count { tensor.pointer[i] = Float(i % 7 - 3) / 8 }
    }
    func matrix(_ direction: ProductDirection) -> WeightMatrix {
      WeightMatrix(
        w.pointer,
        form: products.form(
          of: w.pointer, rows: rows, columns: columns, for: direction, in: workspace),
        for: direction, rows: rows, columns: columns)
    }
    let (forward, backward) = (matrix(.output), matrix(.inputGradient))
    let (input, gradient) = (workspace.operand(of: x), workspace.operand(of: y))
    var best = Double.infinity
    for _ in 0..<5 {
      let start = Clock.threadSeconds
      products.output(input, forward, into: Operand(y), count: count, beta: 0)
      products.inputGradient(gradient, backward, into: x.pointer, count: count, beta: 0)
      products.addWeightGradient(
        gradient, input, to: dW.pointer, rows: rows, columns: columns, count: count)
      best = min(best, Clock.threadSeconds - start)
    }
    return best
  }
}
