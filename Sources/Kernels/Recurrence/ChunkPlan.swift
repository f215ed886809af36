/// How one row's shard is cut into chunks: each at most `chunkLength` tokens, each within a document.
package struct ChunkPlan: Sendable {
  /// The tokens of each chunk, in order, without gaps; none is empty.
  package let chunks: [Range<Int>]
  /// Whether the state is zero at the start of each chunk because a document starts there.
  package let resets: [Bool]

  /// The plan of a shard.
  ///
  /// - Parameters:
  ///   - tokens: Tokens in the shard; 0 is allowed.
  ///   - starts: Positions in the shard, ascending, at which a document starts. 0 is one only where the
  ///     state before the shard is not to be used.
  ///   - chunkLength: Tokens of a full chunk: the kernel's `chunkLength`.
  package init(tokens: Int, starts: [Int] = [], chunkLength: Int) {
    precondition(tokens >= 0 && chunkLength > 0, "\(tokens) tokens in chunks of \(chunkLength)")
    var chunks: [Range<Int>] = []
    var resets: [Bool] = []
    var position = 0
    var isStart = false
    for end in starts + [tokens] {
      precondition(
        end >= position && end <= tokens,
        "document starts \(starts) are not ascending positions below \(tokens)")
      var first = true
      while position < end {
        let next = min(position + chunkLength, end)
        chunks.append(position..<next)
        resets.append(isStart && first)
        (position, first) = (next, false)
      }
      isStart = true
    }
    self.chunks = chunks
    self.resets = resets
  }

  /// Tokens in the shard.
  package var tokens: Int { chunks.last?.upperBound ?? 0 }
  /// Whether a document starts in the shard, so that nothing crosses it: `M` is 0.
  package var containsStart: Bool { resets.contains(true) }
}
