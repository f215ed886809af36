import Tensors

/// `y = x·σ(x)` and its twin.
public enum SiLU {
  /// `y_i = x_i σ(x_i)`.
  public static func forward(
    _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, count: Int
  ) {
    for i in 0..<count { y[i] = x[i] * VectorMath.sigmoid(x[i]) }
  }

  /// `dx_i (+)= dy_i σ(x_i) (1 + x_i (1 − σ(x_i)))`.
  public static func backward(
    _ x: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>,
    count: Int, accumulate: Bool
  ) {
    if accumulate {
      for i in 0..<count {
        let s = VectorMath.sigmoid(x[i])
        dx[i] += dy[i] * s * Float(1).addingProduct(x[i], 1 - s)
      }
    } else {
      for i in 0..<count {
        let s = VectorMath.sigmoid(x[i])
        dx[i] = dy[i] * s * Float(1).addingProduct(x[i], 1 - s)
      }
    }
  }
}

/// `y = σ(x)` and its twin.
public enum Sigmoid {
  /// `y_i = σ(x_i)`.
  public static func forward(
    _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, count: Int
  ) {
    for i in 0..<count { y[i] = VectorMath.sigmoid(x[i]) }
  }

  /// `dx_i (+)= dy_i y_i (1 − y_i)`.
  public static func backward(
    _ y: UnsafePointer<Float>, _ dy: UnsafePointer<Float>, into dx: UnsafeMutablePointer<Float>,
    count: Int, accumulate: Bool
  ) {
    for i in 0..<count {
      let d = dy[i] * y[i] * (1 - y[i])
      dx[i] = accumulate ? dx[i] + d : d
    }
  }
}
