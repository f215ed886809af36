/// The tokens of a chunk, and its rows: the tokens in whole blocks of 16.
struct DeltaChunk {
  /// Positions in the shard.
  let tokens: Range<Int>
  /// What every matrix of the chunk has; rows beyond the tokens are zero.
  let rows: Int
}
