import Files

/// The header of llm.c's token files: 256 little-endian 32-bit integers, of which three say something.
///
/// - Source: https://github.com/karpathy/llm.c, `dev/data/data_common.py`.
struct LLMCHeader {
  /// Bytes before the first token.
  static let bytes = 1024

  /// Number of tokens, and bytes of each.
  let tokens, tokenBytes: Int

  /// Reads a file's header; nil where it has none.
  ///
  /// - Throws: `CorpusError.unreadable` for another version, or another number of tokens than the file has room for.
  init?(_ file: OpenFile) throws(CorpusError) {
    guard file.count >= Self.bytes else { return nil }
    let (magic, version, count) = try dataFiles { () throws(FileError) in
      func number(_ place: Int) throws(FileError) -> Int {
        Int(try file.number(at: 4 * place, as: Int32.self))
      }
      return (try number(0), try number(1), try number(2))
    }
    // GPT-2's tokens in 16 bits, Llama 3's in 32.
    guard let kind = [20_240_520: (1, 2), 20_240_801: (7, 4)][magic] else { return nil }
    let (known, width) = kind
    guard version == known else {
      throw .unreadable(
        path: file.path,
        reason: "its header is that of llm.c, version \(version), and only \(known) is known")
    }
    guard count >= 0, file.count == Self.bytes + count * width else {
      throw .unreadable(
        path: file.path,
        reason: "its header says \(count) tokens of \(width) bytes, but after it there are "
          + "\(file.count - Self.bytes) bytes; get the file again")
    }
    (tokens, tokenBytes) = (count, width)
  }
}
