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
  /// What products of bf16 read.
  let pairs: Pairs

  /// Operands of bf16 products; `h` is half of a tile or of the dimension.
  struct Pairs {
    typealias Pointer = UnsafeMutablePointer<PairMatrix.Pair>

    /// Rows of keys, values or queries on their way to a transposed tile, `[tile, h]`.
    let rows: Pointer
    /// Pairs of a query's numbers, `[h, tile]`; those of its output's gradient.
    let q, dO: Pointer
    /// Pairs of tokens, `[h, ldD]`: of queries, of their outputs' gradients, and of keys or values.
    let queries, gradients, keys: Pointer
    /// Pairs of probabilities or their gradients: of a key's queries `[keyTile, h]`, and of a query's keys `[h, tile]`.
    let scores: Pointer

    fileprivate init(_ scratch: UnsafeMutablePointer<Float>, _ dimension: Int) {
      let (tile, h, ldD) = (
        SoftmaxAttention.tile, PairMatrix.count(dimension), Lanes.padded(dimension)
      )
      let all = UnsafeMutableRawPointer(scratch).assumingMemoryBound(to: PairMatrix.Pair.self)
      q = all
      dO = q + h * tile
      rows = dO + h * tile
      queries = rows + h * tile
      gradients = queries + tile / 2 * ldD
      keys = gradients + tile / 2 * ldD
      scores = keys + tile / 2 * ldD
    }

    fileprivate static func count(_ dimension: Int) -> Int {
      let tile = SoftmaxAttention.tile
      return 3 * PairMatrix.count(dimension) * tile
        + 3 * (tile / 2) * Lanes.padded(dimension) + SoftmaxAttention.keyTile * tile / 2
    }
  }

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
    pairs = Pairs(gates + tile, dimension)
  }

  /// - Parameter pairs: Whether products are of bf16.
  static func count(_ dimension: Int, pairs: Bool = false) -> Int {
    let tile = SoftmaxAttention.tile
    return 16 + tile * (2 * dimension + 2 * SoftmaxAttention.keyTile + Lanes.padded(dimension) + 2)
      + (pairs ? Pairs.count(dimension) : 0)
  }
}
