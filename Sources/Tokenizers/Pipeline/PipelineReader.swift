/// Reads `tokenizer.json`; what is not known is refused by name.
struct PipelineReader {
  /// Where it lies.
  let path: String

  /// Reads the file.
  ///
  /// - Throws: `TokenizerError` that names a part that is damaged or not known.
  func read() throws(TokenizerError) -> PipelineTokenizer {
    guard let json = TokenizerJSON(try TokenizerFile.content(of: path)), json.fields != nil else {
      throw damaged("it is not JSON")
    }
    guard let model = json["model"] else { throw damaged("it has no model") }
    var preTokenizers = try readPreTokenizers(json["pre_tokenizer"])
    // Bytes are spelled for new words only where nothing cuts the words any further.
    let spellsLast = (preTokenizers.last as? ByteLevel)?.spells == true
    let (words, vocabulary) = try readModel(model, spellsBytes: spellsLast)
    if spellsLast, words is BytePairEncoding, let last = preTokenizers.last as? ByteLevel {
      preTokenizers[preTokenizers.count - 1] = ByteLevel(
        addsSpace: last.addsSpace, words: last.words, spells: false)
    }
    let added = try readAddedTokens(json["added_tokens"], vocabulary)
    let normalizer = try readNormalizer(json["normalizer"])
    if preTokenizers.contains(where: { ($0 as? Metaspace)?.prepending == .first }),
      let what = normalizer?.movesStart
    {
      throw unsupported(
        "prepend_scheme of Metaspace", "first behind the normalizer \(what)",
        known: ["always", "never", "first without it"])
    }
    let scratch = EncodingScratch()
    // Tokens that are found in normalized text are written as it is.
    var spellings: [[UInt8]] = []
    for token in added {
      var bytes = Array(token.content.utf8)
      if token.isNormalized { normalizer?.normalize(&bytes, scratch) }
      guard !bytes.isEmpty else {
        throw unsupported(
          "added token", token.content, known: ["those of which the normalizer leaves something"])
      }
      spellings.append(bytes)
    }
    let texts = PieceTable(
      vocabulary + zip(spellings, added).map { (bytes: $0, token: $1.number) })
    // Those that decoding leaves out are known by how they are written.
    let marks = Set(added.filter(\.isSpecial).map { Array($0.content.utf8) })
    let special = Set(zip(spellings, added).filter { marks.contains($0.0) }.map(\.1.number))
    var tokenizer = PipelineTokenizer(
      vocabulary: texts.limit, model: words,
      decoder: try readDecoder(
        json["decoder"], tokens: texts, special: special))
    tokenizer.normalizer = normalizer
    tokenizer.preTokenizers = preTokenizers
    for (token, spelling) in zip(added, spellings) {
      if token.isNormalized {
        tokenizer.normalizedAdded.insert(token, as: spelling)
      } else {
        tokenizer.added.insert(token, as: spelling)
      }
    }
    try readTemplate(json["post_processor"], into: &tokenizer)
    for token in tokenizer.opening + tokenizer.closing
    where !(0..<Int32(tokenizer.vocabulary)).contains(token) {
      throw damaged("it puts token \(token) around a text, which is not in its vocabulary")
    }
    return tokenizer
  }

  /// The token of a number; nil for one that no vocabulary has.
  ///
  /// Tables are as long as the greatest token, which is a claim of the file.
  func token(_ number: TokenizerJSON) -> Int32? {
    number.integer.flatMap { (0..<1 << 22).contains($0) ? Int32($0) : nil }
  }

  /// An error for what the file should hold.
  func damaged(_ reason: String) -> TokenizerError { .damaged(path: path, reason: reason) }

  /// An error for a part that is not known.
  func unsupported(_ part: String, _ kind: String, known: [String]) -> TokenizerError {
    .unsupported(path: path, part: part, kind: kind, known: known.joined(separator: ", "))
  }

  /// The type of a part.
  func type(of json: TokenizerJSON, _ part: String) throws(TokenizerError) -> String {
    guard let type = json["type"]?.string else { throw damaged("its \(part) has no type") }
    return type
  }

  /// A flag of a part; the default where it is missing.
  func flag(_ key: String, of json: TokenizerJSON, default value: Bool) -> Bool {
    json[key]?.bool ?? value
  }

  /// A text of a part.
  func text(_ key: String, of json: TokenizerJSON, _ part: String) throws(TokenizerError) -> String
  {
    guard let text = json[key]?.string else { throw damaged("its \(part) has no \(key)") }
    return text
  }

  /// A pattern: `{"String": …}` or `{"Regex": …}`.
  func readPattern(
    _ json: TokenizerJSON, _ part: String
  ) throws(TokenizerError) -> Pattern {
    if let literal = json["pattern"]?["String"]?.string, !literal.isEmpty {
      return .literal(Array(literal.utf8))
    }
    guard let expression = json["pattern"]?["Regex"]?.string else {
      throw damaged("its \(part) has no pattern")
    }
    return .expression(try compile(expression))
  }

  /// Compiles a regular expression.
  func compile(_ pattern: String) throws(TokenizerError) -> RegularExpression {
    do throws(RegularExpressionError) {
      return try RegularExpression(pattern)
    } catch {
      throw .pattern(path: path, pattern: error.pattern, reason: error.reason)
    }
  }

  private func readAddedTokens(
    _ json: TokenizerJSON?, _ vocabulary: [(bytes: [UInt8], token: Int32)]
  ) throws(TokenizerError) -> [AddedTokens.Token] {
    let pieces = PieceTable(vocabulary)
    var tokens: [AddedTokens.Token] = []
    for entry in json?.array ?? [] {
      guard let content = entry["content"]?.string,
        let number = entry["id"].flatMap(token)
      else { throw damaged("an added token has no content or no id") }
      tokens.append(
        AddedTokens.Token(
          number: pieces.token(of: Array(content.utf8)) ?? number, content: content,
          isWord: flag("single_word", of: entry, default: false),
          stripsLeft: flag("lstrip", of: entry, default: false),
          stripsRight: flag("rstrip", of: entry, default: false),
          isNormalized: flag("normalized", of: entry, default: true),
          isSpecial: flag("special", of: entry, default: false)))
    }
    return tokens
  }
}
