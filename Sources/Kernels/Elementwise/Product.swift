import Tensors

/// The elementwise product `y = a ⊙ b` and its twin.
package enum Product {
  /// `y_i = a_i b_i`.
  package static func forward(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>,
    count: Int
  ) {
    for i in 0..<count { y[i] = a[i] * b[i] }
  }

  /// `da_i (+)= dy_i b_i` and `db_i (+)= dy_i a_i` in one pass.
  package static func backward(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ dy: UnsafePointer<Float>,
    da: (sum: UnsafeMutablePointer<Float>, accumulates: Bool),
    db: (sum: UnsafeMutablePointer<Float>, accumulates: Bool), count: Int
  ) {
    guard !da.accumulates, !db.accumulates else {
      backward(b, dy, into: da.sum, count: count, accumulate: da.accumulates)
      return backward(a, dy, into: db.sum, count: count, accumulate: db.accumulates)
    }
    let (da, db) = (da.sum, db.sum)
    for i in 0..<count {
      let gradient = dy[i]
      da[i] = gradient * b[i]
      db[i] = gradient * a[i]
    }
  }

  /// `da_i (+)= dy_i b_i`: one side.
  package static func backward(
    _ b: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, into da: UnsafeMutablePointer<Float>,
    count: Int, accumulate: Bool
  ) {
    if accumulate {
      for i in 0..<count { da[i] = da[i].addingProduct(dy[i], b[i]) }
    } else {
      for i in 0..<count { da[i] = dy[i] * b[i] }
    }
  }
}
