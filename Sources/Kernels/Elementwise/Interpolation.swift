/// Rows between two others, channel by channel: `y = x + (z − x) ⊙ m`, and its twin.
package enum Interpolation {
  /// `y = x + (z − x) ⊙ m` of `count` numbers.
  package static func forward(
    _ x: UnsafePointer<Float>, _ z: UnsafePointer<Float>, _ m: UnsafePointer<Float>,
    into y: UnsafeMutablePointer<Float>, count: Int
  ) {
    for i in 0..<count { y[i] = x[i].addingProduct(z[i] - x[i], m[i]) }
  }

  /// `dx (+)= dy ⊙ (1 − m)`, `dz (+)= dy ⊙ m` and `dm (+)= dy ⊙ (z − x)`, each where it is wanted.
  package static func backward(
    _ x: UnsafePointer<Float>, _ z: UnsafePointer<Float>, _ m: UnsafePointer<Float>,
    _ dy: UnsafePointer<Float>, dx: (target: UnsafeMutablePointer<Float>, adds: Bool)?,
    dz: (target: UnsafeMutablePointer<Float>, adds: Bool)?,
    dm: (target: UnsafeMutablePointer<Float>, adds: Bool)?, count: Int
  ) {
    if let (dx, adds) = dx {
      for i in 0..<count {
        let d = dy[i] * (1 - m[i])
        dx[i] = adds ? dx[i] + d : d
      }
    }
    if let (dz, adds) = dz {
      for i in 0..<count {
        let d = dy[i] * m[i]
        dz[i] = adds ? dz[i] + d : d
      }
    }
    if let (dm, adds) = dm {
      for i in 0..<count {
        let d = dy[i] * (z[i] - x[i])
        dm[i] = adds ? dm[i] + d : d
      }
    }
  }
}
