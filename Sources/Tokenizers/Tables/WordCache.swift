import Glibc

/// The tokens of words that were seen lately, emptied when it is full.
struct WordCache {
  /// Bytes of the longest word that is kept.
  static let longestWord = 128
  private static let capacity = 1 << 15

  private struct Entry {
    let hash: UInt64
    let bytes: Range<Int>
    let tokens: Range<Int>
  }

  /// The tokens of all words, one after the other.
  private(set) var tokens: [Int32] = []
  private var bytes: [UInt8] = []
  private var entries: [Entry] = []
  private var slots = [Int32](repeating: -1, count: 2 * capacity)

  /// Where a word's tokens lie in `tokens`; nil for a word that is not kept.
  @inline(__always)
  func find(_ word: UnsafeBufferPointer<UInt8>, hash: UInt64) -> Range<Int>? {
    var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
    while slots[slot] >= 0 {
      let entry = entries[Int(slots[slot])]
      if entry.hash == hash, entry.bytes.count == word.count,
        bytes.withUnsafeBufferPointer({
          memcmp($0.baseAddress! + entry.bytes.lowerBound, word.baseAddress!, word.count)
        }) == 0
      {
        return entry.tokens
      }
      slot = (slot + 1) & (slots.count - 1)
    }
    return nil
  }

  /// Keeps a word that is not kept.
  mutating func insert(
    _ word: UnsafeBufferPointer<UInt8>, hash: UInt64, tokens: ArraySlice<Int32>
  ) {
    if entries.count == Self.capacity {
      self.tokens.removeAll(keepingCapacity: true)
      bytes.removeAll(keepingCapacity: true)
      entries.removeAll(keepingCapacity: true)
      slots.withUnsafeMutableBufferPointer { $0.update(repeating: -1) }
    }
    var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
    while slots[slot] >= 0 { slot = (slot + 1) & (slots.count - 1) }
    slots[slot] = Int32(entries.count)
    entries.append(
      Entry(
        hash: hash, bytes: bytes.count..<bytes.count + word.count,
        tokens: self.tokens.count..<self.tokens.count + tokens.count))
    bytes += word
    self.tokens += tokens
  }
}
