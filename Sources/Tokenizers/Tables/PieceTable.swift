import Glibc

/// Pieces of a vocabulary, found by their bytes.
///
/// Texts are compared byte by byte: Swift's strings are equal when Unicode calls them equivalent, and a vocabulary may
/// hold two such pieces.
struct PieceTable: Sendable {
  /// One more than the largest token.
  let limit: Int
  private var bytes: [UInt8] = []
  /// Where a token's bytes lie; an empty range for a number that is no token.
  private var ranges: [Range<Int>]
  private var slots: [Int32]

  /// Makes the table.
  ///
  /// - Parameter pieces: Bytes and token of each; of equal bytes the last one is found.
  init(_ pieces: some Collection<(bytes: [UInt8], token: Int32)>) {
    limit = pieces.reduce(0) { max($0, Int($1.token) + 1) }
    ranges = Array(repeating: 0..<0, count: limit)
    var size = 16
    while size < pieces.count * 2 { size *= 2 }
    slots = Array(repeating: -1, count: size)
    for (piece, token) in pieces {
      ranges[Int(token)] = bytes.count..<bytes.count + piece.count
      bytes += piece
      piece.withUnsafeBufferPointer { buffer in
        guard let base = buffer.baseAddress else { return }
        slots[slot(of: base, buffer.count)] = token
      }
    }
  }

  /// The token of some bytes; nil when there is none.
  @inline(__always)
  func token(of piece: UnsafePointer<UInt8>, _ count: Int) -> Int32? {
    let token = slots[slot(of: piece, count)]
    return token >= 0 ? token : nil
  }

  /// The token of some bytes; nil when there is none.
  func token(of piece: [UInt8]) -> Int32? {
    piece.withUnsafeBufferPointer { $0.baseAddress.flatMap { token(of: $0, piece.count) } }
  }

  /// The bytes of a token; none where there is no such token.
  func piece(of token: Int32) -> ArraySlice<UInt8> {
    ranges.indices.contains(Int(token)) ? bytes[ranges[Int(token)]] : []
  }

  /// The slot that holds some bytes, or the free one where they belong.
  @inline(__always)
  private func slot(of piece: UnsafePointer<UInt8>, _ count: Int) -> Int {
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: byteHash(piece, count)) & mask
    while slots[slot] >= 0 {
      let range = ranges[Int(slots[slot])]
      if range.count == count,
        bytes.withUnsafeBufferPointer({ memcmp($0.baseAddress! + range.lowerBound, piece, count) })
          == 0
      {
        return slot
      }
      slot = (slot + 1) & mask
    }
    return slot
  }
}
