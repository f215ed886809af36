/// SentencePiece's compiled map of characters: a double array of what is replaced, and the replacements.
///
/// Source: Darts-clone's units; SentencePiece's `precompiled_charsmap`.
struct CharacterMap: Sendable {
  private let units: [UInt32]
  private let replacements: [UInt8]

  /// Reads a map; nil when it is damaged.
  ///
  /// - Parameter bytes: Length of the double array in bytes, the double array, texts that end with a zero.
  init?(_ bytes: [UInt8]) {
    func number(at index: Int) -> UInt32 {
      (0..<4).reduce(0) { $0 | UInt32(bytes[index + $1]) << (8 * UInt32($1)) }
    }
    guard bytes.count > 4 else { return nil }
    let size = Int(number(at: 0))
    guard size % 4 == 0, size > 0, size < bytes.count - 4 else { return nil }
    units = (0..<size / 4).map { number(at: 4 + 4 * $0) }
    replacements = Array(bytes[(4 + size)...])
  }

  /// The longest text of the map that some text begins with.
  func longestPrefix(
    of text: UnsafePointer<UInt8>, _ count: Int
  ) -> (length: Int, replacement: ArraySlice<UInt8>)? {
    var found: (Int, UInt32)?
    forEachPrefix(of: text, count) { length, value in
      found = (length, value)
      return true
    }
    return found.map { ($0, replacement(at: $1)) }
  }

  /// The replacement of the shortest text of the map that some text begins with.
  func shortestPrefix(of text: UnsafePointer<UInt8>, _ count: Int) -> ArraySlice<UInt8>? {
    var found: UInt32?
    forEachPrefix(of: text, count) { _, value in
      found = value
      return false
    }
    return found.map(replacement)
  }

  private func replacement(at index: UInt32) -> ArraySlice<UInt8> {
    guard Int(index) < replacements.count else { return [] }
    return replacements[Int(index)...].prefix { $0 != 0 }
  }

  @inline(__always)
  private func forEachPrefix(
    of text: UnsafePointer<UInt8>, _ count: Int, _ body: (Int, UInt32) -> Bool
  ) {
    func offset(_ unit: UInt32) -> Int { Int(unit >> 10) << Int((unit & 1 << 9) >> 6) }
    var node = offset(units[0])
    for index in 0..<count {
      let byte = text[index]
      node ^= Int(byte)
      guard byte != 0, node < units.count else { return }
      let unit = units[node]
      guard unit & (1 << 31 | 0xFF) == UInt32(byte) else { return }
      node ^= offset(unit)
      guard node < units.count else { return }
      if unit >> 8 & 1 == 1, !body(index + 1, units[node] & 0x7FFF_FFFF) { return }
    }
  }
}

/// Hugging Face's reading of a character map: grapheme by grapheme, and character by character where a grapheme is long.
struct Precompiled: Normalizer {
  /// The map.
  let map: CharacterMap

  /// Bytes from which on a grapheme is not looked up as a whole.
  private static let longGrapheme = 6

  func normalize(_ text: inout [UInt8], _ scratch: EncodingScratch) {
    var result: [UInt8] = []
    result.reserveCapacity(text.count)
    text.withUnsafeBufferPointer { text in
      var index = 0
      while index < text.count {
        if index + 1 == text.count || text[index] < 0x80 && text[index + 1] < 0x80,
          text[index] != 0x0D, text[index] < 0x80
        {
          append(text.part(index..<index + 1), to: &result)
          index += 1
          continue
        }
        // Up to where an ASCII character follows another one.
        var end = index + 1
        while end < text.count, !(text[end] < 0x80 && text[end - 1] < 0x80 && text[end] != 0x0A) {
          end += 1
        }
        for grapheme in String(decoding: text[index..<end], as: UTF8.self) {
          var bytes = Array(grapheme.utf8)
          bytes.withUnsafeMutableBufferPointer { appendGrapheme(.init($0), to: &result) }
        }
        index = end
      }
    }
    text = result
  }

  private func appendGrapheme(_ grapheme: UnsafeBufferPointer<UInt8>, to result: inout [UInt8]) {
    if grapheme.count < Self.longGrapheme,
      let replacement = map.shortestPrefix(of: grapheme.baseAddress!, grapheme.count)
    {
      result += replacement
      return
    }
    var index = 0
    while index < grapheme.count {
      let length = utf8Length(grapheme[index])
      append(grapheme.part(index..<index + length), to: &result)
      index += length
    }
  }

  private func append(_ character: UnsafeBufferPointer<UInt8>, to result: inout [UInt8]) {
    if let replacement = map.shortestPrefix(of: character.baseAddress!, character.count) {
      result += replacement
    } else {
      result += character
    }
  }
}
