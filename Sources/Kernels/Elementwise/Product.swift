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

  /// `da_i (+)= dy_i b_i`; called once for each side.
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
