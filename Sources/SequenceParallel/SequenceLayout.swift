/// Where every rank's shard lies in the sequence that is being processed, and where documents start.
///
/// Every op that mixes along time takes it. A shard may be empty.
package struct SequenceLayout: Sendable {
  /// Tokens of each rank of the sequence group, in rank order.
  package let shardLengths: [Int]
  /// This rank's place in the sequence group.
  package let rank: Int
  /// How many sequences are processed at once.
  package let rows: Int
  /// Global position of the first token of rank 0's shard: where this segment or window begins.
  package let start: Int
  /// For each row, the positions (counted from `start`, ascending) at which a document starts and
  /// every state, convolution and window begins anew.
  ///
  /// Position 0 is in it only if a document starts there.
  package let documentStarts: [[Int]]
  /// Where each rank's shard begins, and where the last ends, counted from `start`.
  private let bounds: [Int]

  /// Makes a layout.
  ///
  /// - Parameters:
  ///   - shardLengths: Tokens of each rank, in rank order; their sum is what is processed at once.
  ///   - documentStarts: One list a row, or empty for no documents.
  package init(
    shardLengths: [Int], rank: Int, rows: Int, start: Int = 0, documentStarts: [[Int]] = []
  ) {
    precondition(shardLengths.indices.contains(rank), "rank \(rank) of \(shardLengths.count)")
    precondition(
      documentStarts.isEmpty || documentStarts.count == rows,
      "\(documentStarts.count) lists of document starts for \(rows) rows")
    self.shardLengths = shardLengths
    bounds = shardLengths.reduce(into: [0]) { $0.append($0.last! + $1) }
    self.rank = rank
    self.rows = rows
    self.start = start
    self.documentStarts =
      documentStarts.isEmpty ? [[Int]](repeating: [], count: rows) : documentStarts
  }

  /// Cuts `tokens` over `ranks` as evenly as can be: shards differ by one token at most.
  package static func evenShards(tokens: Int, ranks: Int) -> [Int] {
    (0..<ranks).map { tokens * ($0 + 1) / ranks - tokens * $0 / ranks }
  }

  /// The same sequence with `steps` steps in place of each token.
  func stepped(_ steps: Int) -> SequenceLayout {
    SequenceLayout(
      shardLengths: shardLengths.map { $0 * steps }, rank: rank, rows: rows, start: start * steps,
      documentStarts: documentStarts.map { $0.map { $0 * steps } })
  }

  /// Tokens of this rank's shard, a row.
  package var length: Int { shardLengths[rank] }

  /// Where this rank's shard lies, counted from `start`.
  package var shard: Range<Int> { shard(of: rank) }

  /// Where a rank's shard lies, counted from `start`.
  package func shard(of rank: Int) -> Range<Int> {
    bounds[rank]..<bounds[rank + 1]
  }

  /// Tokens of all shards, a row.
  package var total: Int { bounds.last! }

  /// Global position of this shard's first token.
  package var offset: Int { start + shard.lowerBound }

  /// Where the document that goes on after the whole sequence started, counted from `start`; `Int.min`
  /// if that is before all of it.
  func lastDocumentStart(row: Int) -> Int { documentStarts[row].last ?? .min }

  /// Whether a document starts in the shard of a rank.
  package func hasStart(row: Int, rank: Int) -> Bool {
    documentStarts[row].contains(where: shard(of: rank).contains)
  }

  /// Where documents start in this shard, counted from the shard's first token.
  package func startsInShard(row: Int) -> [Int] {
    let shard = shard
    return documentStarts[row].filter { shard.contains($0) }.map { $0 - shard.lowerBound }
  }
}
