/// Largest scores as a part of the function.
///
/// Where sums of exponentials are not divided by each other, the largest score that is subtracted from all does not
/// cancel: it has a gradient, which goes to the key that it is of.
extension SoftmaxAttention {
  /// Notes of each query the key whose score is above all before it, in a tile of scores, `[keys, tile]`.
  ///
  /// - Parameters:
  ///   - first: The position of the tile's first key.
  ///   - maximum: The largest scores so far.
  ///   - scratch: A float for each query of a tile.
  func findMaxima(
    _ p: UnsafePointer<Float>, keys: Int, queries: Int, first: Int,
    above maximum: UnsafePointer<Float>, into maximal: UnsafeMutablePointer<Int32>,
    scratch best: UnsafeMutablePointer<Float>
  ) {
    best.update(from: maximum, count: queries)
    for i in 0..<keys {
      let (row, position) = (p + i * Self.tile, Int32(first + i))
      for j in 0..<queries where row[j] > best[j] {
        best[j] = row[j]
        maximal[j] = position
      }
    }
  }

  /// Adds what the gradients of largest scores give to the queries, and to those keys of a block that they are of.
  ///
  /// Concretely, with `j` the key of `t`'s largest score `m_t`: `dq_t += scale dm_t k_j`, `dk_j += scale dm_t q_t`.
  ///
  /// - Parameters:
  ///   - maximal: The position of each query's key.
  ///   - dMaxima: `dm` of each query.
  ///   - dk: The block's gradients, added to; heads that share it must run one after another.
  package func maximaBackward(
    _ keys: Keys, _ queries: Queries, maximal: UnsafePointer<Int32>,
    dMaxima: UnsafePointer<Float>, dq: MutableTokenRows, dk: MutableTokenRows
  ) {
    for token in 0..<queries.tokens {
      let key = Int(maximal[token]) - keys.first
      guard (0..<keys.tokens).contains(key) else { continue }
      let factor = scale * dMaxima[token]
      Rows.addScaled(keys.k[key], by: factor, count: dimension, into: dq[token])
      Rows.addScaled(queries.q[token], by: factor, count: dimension, into: dk[key])
    }
  }
}
