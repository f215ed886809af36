import Files

/// Where the tokens lie in a file, as the file itself or the index beside it says.
struct TokenLayout {
  /// Bytes before the first token.
  var start = 0
  /// Number of tokens.
  let count: Int
  /// Bytes of a token: 1, 2 or 4.
  let tokenBytes: Int
  /// Where documents begin, where the file says it.
  var documents: DocumentOffsets?

  /// Finds out; reads no tokens.
  ///
  /// - Parameters:
  ///   - file: A file that is not empty.
  ///   - said: Bytes of a token as they were given, 1, 2 or 4; 0 for what the file says, or else 2 if its name ends with
  ///     `.bin`, 1 if not.
  /// - Throws: `CorpusError` when it is of a format that is not read here, damaged, or of another width than was given.
  init(_ file: OpenFile, said: Int) throws(CorpusError) {
    let foreign = try dataFiles { () throws(FileError) in
      try ForeignFormat.of(file, isText: said == 1)
    }
    if let format = foreign {
      throw .foreignFormat(path: file.path, format)
    }
    let layout: TokenLayout
    if let header = try LLMCHeader(file) {
      layout = TokenLayout(
        start: LLMCHeader.bytes, count: header.tokens, tokenBytes: header.tokenBytes)
    } else if let index = try MegatronIndex(besides: file) {
      layout = TokenLayout(
        count: index.tokens, tokenBytes: index.tokenBytes, documents: DocumentOffsets(index))
    } else {
      let width = said > 0 ? said : file.path.hasSuffix(".bin") ? 2 : 1
      guard file.count % width == 0 else {
        throw .partialToken(path: file.path, bytes: file.count, tokenBytes: width)
      }
      if said == 0, width == 2, try dataFiles({ () throws(FileError) in try Self.looksWide(file) })
      {
        throw .looksWide(path: file.path)
      }
      self.init(count: file.count / width, tokenBytes: width)
      return
    }
    guard said == 0 || said == layout.tokenBytes else {
      throw .otherWidth(path: file.path, said: said, tokenBytes: layout.tokenBytes)
    }
    self = layout
  }

  /// Whether a file looks as if its tokens had four bytes: every other number of two bytes is next to nothing, as the upper
  /// halves of tokens are, and the ones between are not.
  private static func looksWide(_ file: OpenFile) throws(FileError) -> Bool {
    guard file.count % 4 == 0, file.count >= 4 * 64 else { return false }
    let bytes = try file.read(0..<min(file.count, 4 * 4096))
    var largest: UInt32 = 0
    for index in 0..<bytes.count / 4 {
      let number = bytes[4 * index..<4 * index + 4].reversed().reduce(UInt32(0)) {
        $0 << 8 | UInt32($1)
      }
      if number >> 16 > 3 { return false }
      largest = max(largest, number & 0xFFFF)
    }
    return largest > 255
  }

  private init(start: Int = 0, count: Int, tokenBytes: Int, documents: DocumentOffsets? = nil) {
    (self.start, self.count, self.tokenBytes) = (start, count, tokenBytes)
    self.documents = documents
  }
}
