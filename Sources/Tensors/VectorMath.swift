/// Elementary functions in fp32 that vectorise in a plain loop.
///
/// Each is branch-free arithmetic on one number, inlined into the caller's loop, and within 4 units in the
/// last place of the exact value where that is a normal number. Results below the smallest normal number
/// may be 0. NaN gives NaN.
///
/// Public although no other package needs it: the bodies of `package` functions are not inlined in other modules
/// (Swift 6.3), and a gate would take 2.7 times as long.
public enum VectorMath {
  /// `e^x`; 0 below −87.33, +∞ above 88.72.
  @inlinable @inline(__always)
  public static func exp(_ x: Float) -> Float {
    // 1.5 · 2^23: adding it leaves the nearest integer in the low bits.
    let magic: Float = 12_582_912
    let shifted = magic.addingProduct(x, 1.442_695_04)
    let n = shifted - magic
    let r = x.addingProduct(n, -0.693_145_752).addingProduct(n, -1.428_606_77e-6)
    var p: Float = 1.984_126_98e-4
    p = Float(1.388_888_89e-3).addingProduct(p, r)
    p = Float(8.333_333_33e-3).addingProduct(p, r)
    p = Float(4.166_666_67e-2).addingProduct(p, r)
    p = Float(0.166_666_667).addingProduct(p, r)
    p = Float(0.5).addingProduct(p, r)
    p = Float(1).addingProduct(p, r)
    p = Float(1).addingProduct(p, r)
    let y = Float(bitPattern: p.bitPattern &+ (shifted.bitPattern &<< 23))
    let low = x < -87.336_54 ? 0 : y
    let high = x > 88.722_83 ? Float.infinity : low
    return x == x ? high : x
  }

  /// Natural logarithm; −∞ at 0, NaN below it.
  @inlinable @inline(__always)
  public static func log(_ x: Float) -> Float {
    let isSmall = x < 1.175_494_4e-38
    let scaled = isSmall ? x * 16_777_216 : x
    // Exponent and mantissa in [√½, √2).
    let bits = scaled.bitPattern &- 0x3f35_04f3
    let exponent = Float(Int32(bitPattern: bits) &>> 23) - (isSmall ? 24 : 0)
    let mantissa = Float(bitPattern: (bits & 0x007f_ffff) &+ 0x3f35_04f3)
    let m = mantissa - 1
    let z = m * m
    var p: Float = 7.037_683_6e-2
    p = Float(-1.151_461_03e-1).addingProduct(p, m)
    p = Float(1.167_699_87e-1).addingProduct(p, m)
    p = Float(-1.242_014_08e-1).addingProduct(p, m)
    p = Float(1.424_932_28e-1).addingProduct(p, m)
    p = Float(-1.666_805_77e-1).addingProduct(p, m)
    p = Float(2.000_071_48e-1).addingProduct(p, m)
    p = Float(-2.499_999_39e-1).addingProduct(p, m)
    p = Float(3.333_333_12e-1).addingProduct(p, m)
    let tail = (m * z * p).addingProduct(exponent, -2.121_944_4e-4).addingProduct(z, -0.5)
    let y = (m + tail).addingProduct(exponent, 0.693_359_375)
    let finite = x == .infinity ? x : y
    let positive = x > 0 ? finite : (x == 0 ? -Float.infinity : Float.nan)
    return x == x ? positive : x
  }

  /// `log(1 + u)` for `u ≥ −½`, accurate for small `u`.
  @inlinable @inline(__always)
  public static func log1p(_ u: Float) -> Float {
    let w = 1 + u
    let d = w - 1
    let y = log(w) * (u / (d == 0 ? 1 : d))
    let finite = w == .infinity ? w : y
    return d == 0 ? u : finite
  }

  /// `e^x − 1`, accurate for small `x`.
  @inlinable @inline(__always)
  public static func expm1(_ x: Float) -> Float {
    // Taylor's series up to x⁹ within ±½, where what is left out is below the last bit.
    let bounded = x < -0.5 ? -0.5 : (x > 0.5 ? 0.5 : x)
    var p: Float = 2.755_731_92e-6
    p = Float(2.480_158_73e-5).addingProduct(p, bounded)
    p = Float(1.984_126_98e-4).addingProduct(p, bounded)
    p = Float(1.388_888_89e-3).addingProduct(p, bounded)
    p = Float(8.333_333_33e-3).addingProduct(p, bounded)
    p = Float(4.166_666_67e-2).addingProduct(p, bounded)
    p = Float(0.166_666_667).addingProduct(p, bounded)
    p = Float(0.5).addingProduct(p, bounded)
    let small = bounded.addingProduct(bounded * bounded, p)
    return x.magnitude <= 0.5 ? small : exp(x) - 1
  }

  /// `1 / (1 + e^−x)`.
  @inlinable @inline(__always)
  public static func sigmoid(_ x: Float) -> Float { 1 / (1 + exp(-x)) }

  /// `x · sigmoid(x)`; 0 below −88.72.
  @inlinable @inline(__always)
  public static func silu(_ x: Float) -> Float { (x < -100 ? -100 : x) * sigmoid(x) }

  /// The derivative of `silu`: `s · (1 + x · (1 − s))` with `s = sigmoid(x)`.
  @inlinable @inline(__always)
  public static func siluDerivative(_ x: Float) -> Float {
    let low = x < -100 ? -100 : x
    let bounded = low > 100 ? 100 : low
    return sigmoid(x) * Float(1).addingProduct(bounded, sigmoid(-x))
  }

  /// Hyperbolic tangent.
  @inlinable @inline(__always)
  public static func tanh(_ x: Float) -> Float {
    let magnitude = x.magnitude
    let large = 1 - 2 / (1 + exp(2 * magnitude))
    let z = x * x
    var p: Float = -5.704_988_72e-3
    p = Float(2.063_908_88e-2).addingProduct(p, z)
    p = Float(-5.373_971_24e-2).addingProduct(p, z)
    p = Float(1.333_144_19e-1).addingProduct(p, z)
    p = Float(-3.333_328_23e-1).addingProduct(p, z)
    let small = x.addingProduct(x * z, p)
    return magnitude < 0.625 ? small : (x < 0 ? -large : large)
  }

  /// `log(1 + e^x)`; its derivative is `sigmoid(x)`.
  @inlinable @inline(__always)
  public static func softplus(_ x: Float) -> Float {
    (x > 0 ? x : 0) + log1p(exp(-x.magnitude))
  }

  /// `log(sigmoid(x)) = −softplus(−x)`; its derivative is `sigmoid(−x)`.
  @inlinable @inline(__always)
  public static func logSigmoid(_ x: Float) -> Float { -softplus(-x) }

  /// Sine and cosine of angles within a few turns of zero, to 1e-7 of 1.
  @inlinable @inline(__always)
  public static func sinCos(_ x: Float) -> (sin: Float, cos: Float) {
    // As in `exp`: the nearest number of quarter turns lies in the low bits.
    let magic: Float = 12_582_912
    let shifted = magic.addingProduct(x, 0.636_619_772)
    let n = shifted - magic
    let r = x.addingProduct(n, -1.570_796_25).addingProduct(n, -7.549_789_95e-8)
    let z = r * r
    var s: Float = -1.951_529_59e-4
    s = Float(8.332_160_87e-3).addingProduct(s, z)
    s = Float(-0.166_666_546).addingProduct(s, z)
    s = r.addingProduct(r * z, s)
    var c: Float = 2.443_315_71e-5
    c = Float(-1.388_731_63e-3).addingProduct(c, z)
    c = Float(4.166_664_57e-2).addingProduct(c, z)
    c = Float(1).addingProduct(z, -0.5).addingProduct(z * z, c)
    let quarter = shifted.bitPattern
    let isOdd = quarter & 1 != 0
    let (sine, cosine) = (isOdd ? c : s, isOdd ? s : c)
    return (
      quarter & 2 != 0 ? -sine : sine, (quarter &+ 1) & 2 != 0 ? -cosine : cosine
    )
  }
}
