/// Minimises a function of a few variables by its gradients: BFGS with a line search that is sound where the gradient
/// jumps, as that of absolute values does nearly.
///
/// - Source: Nocedal and Wright, "Numerical Optimization", chapter 6; the line search: Lewis and Overton, "Nonsmooth
///   optimization via quasi-Newton methods" (Mathematical Programming 141, 2013), algorithm 2.6.
enum QuasiNewton {
  typealias Vector = SIMD8<Double>

  /// Goes down from a start.
  ///
  /// - Parameters:
  ///   - count: How many of the vector's elements are variables; the others are 0.
  ///   - iterations: The most of them.
  ///   - function: The value, and its gradient.
  /// - Returns: Where it ended, and the value there.
  static func minimize(
    from start: Vector, count: Int, iterations: Int = 200,
    _ function: (Vector) -> (value: Double, gradient: Vector)
  ) -> (place: Vector, value: Double) {
    var place = start
    var (value, gradient) = function(place)
    var inverse = identity(count)
    var isFresh = true
    for _ in 0..<iterations {
      var direction = Vector()
      for r in 0..<count { direction[r] = -(inverse[r] * gradient).sum() }
      var slope = (direction * gradient).sum()
      if !(slope < 0) {
        (inverse, isFresh) = (identity(count), true)
        direction = -gradient
        slope = -(gradient * gradient).sum()
      }
      guard slope < -1e-15 * max(value, 1e-12) else { break }
      // The first step, whose length nothing tells, moves no variable by more than a tenth.
      let size = max(direction.max(), -direction.min())
      let first = isFresh ? min(1, 0.1 / size) : min(1, 4 / size)
      guard let step = search(place, direction, value, slope, first, function) else {
        if isFresh { break }
        (inverse, isFresh) = (identity(count), true)
        continue
      }
      let (moved, change) = (step.place - place, step.gradient - gradient)
      let curvature = (moved * change).sum()
      let gain = value - step.value
      (place, value, gradient) = (step.place, step.value, step.gradient)
      if gain <= 1e-13 * value { break }
      guard curvature > 0 else { continue }
      if isFresh {
        let scale = curvature / (change * change).sum()
        inverse = inverse.map { $0 * scale }
        isFresh = false
      }
      update(&inverse, count, moved, change, curvature)
    }
    return (place, value)
  }

  private static func identity(_ count: Int) -> [Vector] {
    (0..<count).map { row in
      var vector = Vector()
      vector[row] = 1
      return vector
    }
  }

  /// `H ← (I − s yᵀ / yᵀs) H (I − y sᵀ / yᵀs) + s sᵀ / yᵀs`.
  private static func update(
    _ inverse: inout [Vector], _ count: Int, _ s: Vector, _ y: Vector, _ curvature: Double
  ) {
    var hy = Vector()
    for r in 0..<count { hy[r] = (inverse[r] * y).sum() }
    let factor = (1 + (y * hy).sum() / curvature) / curvature
    for r in 0..<count {
      inverse[r] += factor * s[r] * s - (hy[r] * s + s[r] * hy) / curvature
    }
  }

  /// A step that is long enough and goes down enough, found by halving; nil where there is none.
  private static func search(
    _ place: Vector, _ direction: Vector, _ value: Double, _ slope: Double, _ first: Double,
    _ function: (Vector) -> (value: Double, gradient: Vector)
  ) -> (place: Vector, value: Double, gradient: Vector)? {
    var (low, high, step) = (0.0, Double.infinity, first)
    var good: (place: Vector, value: Double, gradient: Vector)?
    for _ in 0..<40 {
      let next = place + step * direction
      let (there, gradient) = function(next)
      if !(there <= value + 1e-4 * step * slope) {
        high = step
      } else {
        good = (next, there, gradient)
        if (gradient * direction).sum() >= 0.9 * slope { return good }
        low = step
      }
      step = high.isFinite ? (low + high) / 2 : 2 * low
      if step * max(direction.max(), -direction.min()) > 20 { return good }
    }
    return good
  }
}
