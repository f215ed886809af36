import Tensors

/// `e^x` of a Double, to the last bits of a float.
@inline(__always)
func expOf(_ x: Double) -> Float {
  let high = Float(x)
  let y = VectorMath.exp(high)
  return y.addingProduct(y, Float(x - Double(high)))
}
