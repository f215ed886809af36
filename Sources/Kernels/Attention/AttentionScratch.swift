/// A thread's scratch, divided.
struct AttentionScratch {
  let ldD: Int
  /// Transposed tiles of queries and output gradients, `[dimension, tile]`.
  let qT, dOT: UnsafeMutablePointer<Float>
  /// Scores, probabilities and their gradients, `[keyTile, tile]`.
  let p, dP: UnsafeMutablePointer<Float>
  /// Sums of outputs, or gradients of queries, `[tile, ldD]`.
  let o: UnsafeMutablePointer<Float>
  /// A number a query: what earlier sums are multiplied by, and what gates add to scores.
  let factors, gates: UnsafeMutablePointer<Float>

  init(_ scratch: UnsafeMutablePointer<Float>, _ dimension: Int) {
    let tile = SoftmaxAttention.tile
    ldD = Lanes.padded(dimension)
    qT = UnsafeMutablePointer(bitPattern: (UInt(bitPattern: scratch) + 63) & ~63)!
    dOT = qT + dimension * tile
    p = dOT + dimension * tile
    dP = p + SoftmaxAttention.keyTile * tile
    o = dP + SoftmaxAttention.keyTile * tile
    factors = o + tile * ldD
    gates = factors + tile
  }

  static func count(_ dimension: Int) -> Int {
    let tile = SoftmaxAttention.tile
    return 16 + tile * (2 * dimension + 2 * SoftmaxAttention.keyTile + Lanes.padded(dimension) + 2)
  }
}
