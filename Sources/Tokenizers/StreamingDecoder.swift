/// Decodes tokens one by one: a character appears when its last byte has come.
package struct StreamingDecoder: Sendable {
  private var bytes: TokenBytes
  private var pending: [UInt8] = []

  package init(_ tokenizer: any Tokenizer) { bytes = TokenBytes(tokenizer) }

  /// The characters that the token completes, often one, sometimes none.
  package mutating func append(_ token: Int32) -> String {
    pending += bytes.append(token)
    let complete = pending.count - StreamingDecoder.unfinished(pending)
    defer { pending.removeFirst(complete) }
    return String(decoding: pending[..<complete], as: UTF8.self)
  }

  /// What is left at the text's end: `�` for an unfinished character.
  package mutating func finish() -> String {
    defer { pending = [] }
    return String(decoding: pending, as: UTF8.self)
  }

  /// How many bytes at the end begin a character that may still become valid.
  private static func unfinished(_ bytes: [UInt8]) -> Int {
    for back in 1...3 where back <= bytes.count {
      let byte = bytes[bytes.count - back]
      if byte & 0xC0 == 0x80 { continue }
      let length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC2 ? 2 : 1
      return byte < 0xF5 && length > back ? back : 0
    }
    return 0
  }
}
