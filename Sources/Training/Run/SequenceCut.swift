import SequenceParallel

/// How a sequence is cut: in time into segments, and each segment over the ranks that share it.
///
/// Concretely: in segment s, rank r holds piece `s · P + r`. Segments differ by one token at most, and so do
/// the shards of one.
struct SequenceCut: Sendable {
  /// Tokens of a sequence.
  let length: Int
  /// Number of segments.
  let segments: Int
  private let ranks: Int
  private let rank: Int

  /// Cuts the sequences of a run for one of the ranks that share them.
  init(_ section: SequenceSection, ranks: Int, rank: Int) {
    (length, segments) = (section.length, section.segments)
    (self.ranks, self.rank) = (ranks, rank)
  }

  /// Where a segment lies in the sequence.
  func segment(_ index: Int) -> Range<Int> {
    length * index / segments..<length * (index + 1) / segments
  }

  /// Tokens of each rank in a segment.
  func shards(_ index: Int) -> [Int] {
    SequenceLayout.evenShards(tokens: segment(index).count, ranks: ranks)
  }

  /// Where this rank's shard of a segment lies in the sequence.
  func positions(_ index: Int) -> Range<Int> {
    let (shards, start) = (shards(index), segment(index).lowerBound)
    let first = start + shards[..<rank].reduce(0, +)
    return first..<first + shards[rank]
  }

  /// The layout of a segment.
  ///
  /// - Parameters:
  ///   - carried: Tokens before the sequence whose state is carried.
  ///   - documentStarts: For each row the positions in the sequence at which a document starts.
  func layout(_ index: Int, carried: Int, documentStarts: [[Int]]) -> SequenceLayout {
    let segment = segment(index)
    return SequenceLayout(
      shardLengths: shards(index), rank: rank, rows: documentStarts.count,
      start: carried + segment.lowerBound,
      documentStarts: documentStarts.map { starts in
        starts.filter(segment.contains).map { $0 - segment.lowerBound }
      })
  }
}
