import Autodiff
import Tensors

/// The tokens of this rank's shard that belong to one sequence, or to a part of one that is processed by itself.
struct ShardRows: Sendable {
  /// The row of the first of them among those of all; the others follow.
  let first: Int
  /// How many there are.
  let count: Int
  /// Where documents start, counted from the first, ascending: `count` where one starts after the last of them, and none
  /// of its tokens is among them.
  let starts: [Int]

  /// Whether what leaves the shard has nothing of these tokens, nor of those before.
  var endsAnew: Bool { starts.last == count }
  /// How many of them, counted from the end, belong to the last document.
  var ofLastDocument: Int { count - (starts.last ?? 0) }
}

/// How the tokens of a shard fall on subsequences, each with states and halos of its own: one for each row of the batch and
/// each group of a routing, such as a memory.
///
/// The rows of a subsequence stand together, in the order of its tokens, which may be none. A document that starts in the
/// shard starts in all subsequences of its row, whether its tokens go there or not.
///
/// - Source: Du et al., "MoM" (arXiv 2502.13685).
package struct Subsequences: Sendable {
  /// How many there are of each row of the batch.
  let groups: Int
  /// The rows of each: those of the batch's first row first, so that a carry has each row's together.
  let parts: [ShardRows]
  /// Tokens of each document in the shard, of all rows of the batch.
  private let documents: [Int]
  /// How many groups there are to choose from, how many of them a token chooses, and how many take all tokens.
  private let groupsToChoose, chosen, takingAll: Int

  /// Finds the rows of each; a rehearsal assumes that they are as many in all.
  ///
  /// - Parameters:
  ///   - routing: Of the shard's tokens.
  ///   - layout: Where documents start.
  package init(_ routing: Routing, layout: SequenceLayout, in workspace: Workspace) {
    let (rows, length, groups) = (layout.rows, layout.length, routing.rows.count)
    precondition(
      routing.tokens == rows * length,
      "a routing of \(routing.tokens) tokens for \(rows) × \(length)")
    self.groups = groups
    (groupsToChoose, chosen) = (routing.rule.experts, routing.rule.chosen)
    takingAll = routing.rowsPerToken - chosen
    let starts = (0..<rows).map { layout.startsInShard(row: $0) }
    var parts: [ShardRows] = []
    for row in 0..<rows {
      for group in routing.rows {
        /// How many of the group's rows are of tokens before one.
        func before(_ token: Int) -> Int {
          workspace.known(
            assuming: rows * length == 0 ? 0 : group.count * token / (rows * length)
          ) {
            Self.firstIndex(in: group) { routing.token(ofRow: $0) >= token } - group.lowerBound
          }
        }
        let (first, last) = (before(row * length), before((row + 1) * length))
        parts.append(
          ShardRows(
            first: group.lowerBound + first, count: last - first,
            starts: starts[row].map { before(row * length + $0) - first }))
      }
    }
    self.parts = parts
    documents = starts.flatMap { starts in
      zip([0] + starts, starts + [length]).map { $1 - $0 }
    }
  }

  /// The most chunks of a length that all can be cut into, whatever tokens choose.
  func mostChunks(of length: Int) -> Int {
    documents.reduce(0) { sum, tokens in
      sum + takingAll * ((tokens + length - 1) / length)
        + Self.mostChunks(
          of: length, tokens: tokens, choosing: chosen, of: groupsToChoose)
    }
  }

  /// The most chunks that a document's tokens begin, each of which goes to some of the groups.
  static func mostChunks(
    of length: Int, tokens: Int, choosing chosen: Int, of groups: Int
  ) -> Int {
    // Chunks hold one row where they are the last of their group, and are full otherwise.
    let rows = tokens * chosen
    let last = min(rows, groups)
    return last + min(last * (max(0, tokens - 1) / length), (rows - last) / length)
  }

  /// The first index of an ascending range from which on something holds; its end where it never does.
  private static func firstIndex(in range: Range<Int>, where holds: (Int) -> Bool) -> Int {
    var (low, high) = (range.lowerBound, range.upperBound)
    while low < high {
      let middle = low + (high - low) / 2
      if holds(middle) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}

extension SequenceLayout {
  /// The rows of the batch.
  var shardRows: [ShardRows] {
    (0..<rows).map {
      ShardRows(first: $0 * length, count: length, starts: startsInShard(row: $0))
    }
  }
}
