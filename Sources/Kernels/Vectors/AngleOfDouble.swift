import Tensors

/// Sine and cosine of an angle in Double, however many turns it has, to 1e-7 of 1: vectors in a plain loop.
@inline(__always)
func sinCosOf(_ x: Double) -> (sin: Float, cos: Float) {
  let turns = (x * (0.5 / .pi)).rounded(.toNearestOrEven)
  let rest = x.addingProduct(-turns, 2 * .pi)
  let high = Float(rest)
  let (sine, cosine) = VectorMath.sinCos(high)
  // What rounding to a float took away, to first order.
  let low = Float(rest - Double(high))
  return (sine.addingProduct(cosine, low), cosine.addingProduct(-sine, low))
}
