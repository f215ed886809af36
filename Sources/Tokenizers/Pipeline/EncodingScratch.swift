import CPCRE2
import Synchronization

/// What encoding needs room for: the tokens found so far, words seen lately, symbols to merge.
///
/// Unchecked: one thread has it at a time.
final class EncodingScratch: @unchecked Sendable {
  /// The tokens found so far.
  var tokens: [Int32] = []
  /// Words seen lately.
  var cache = WordCache()
  /// Symbols of a word that are being merged.
  var merging = MergeRoom()
  /// A word as its model reads it.
  var spelling: [UInt8] = []
  /// The best way to each place of a text, for the Unigram model.
  var bestPaths: [Unigram.Path] = []
  /// What regular expressions write a match to.
  let match: OpaquePointer

  init() {
    guard let match = pcre2_match_data_create_8(1, nil) else {
      preconditionFailure("no memory for a match of a regular expression")
    }
    self.match = match
  }

  deinit { pcre2_match_data_free_8(match) }
}

/// Rooms that threads take to encode a text and give back afterwards.
final class EncodingScratchPool: Sendable {
  private let free = Mutex<[EncodingScratch]>([])

  /// The tokens that a function finds with a room of its own.
  func encode(_ body: (EncodingScratch) -> Void) -> [Int32] {
    let scratch = free.withLock { $0.popLast() } ?? EncodingScratch()
    scratch.tokens.removeAll(keepingCapacity: true)
    body(scratch)
    let tokens = scratch.tokens
    // A long text's room is not kept for short ones.
    scratch.tokens = []
    free.withLock { $0.append(scratch) }
    return tokens
  }
}
