/// Post-processors and decoders of `tokenizer.json`.
extension PipelineReader {
  /// What the template puts around a text.
  func readTemplate(
    _ json: TokenizerJSON?, into tokenizer: inout PipelineTokenizer
  ) throws(TokenizerError) {
    guard let json else { return }
    let type = try type(of: json, "post-processor")
    switch type {
    case "ByteLevel": return
    case "Sequence":
      for part in json["processors"]?.array ?? [] { try readTemplate(part, into: &tokenizer) }
    case "RobertaProcessing", "BertProcessing":
      tokenizer.opening.insert(try readPair("cls", of: json), at: 0)
      tokenizer.closing.append(try readPair("sep", of: json))
    case "TemplateProcessing":
      var before: [Int32] = []
      var after: [Int32] = []
      var texts = 0
      for item in json["single"]?.array ?? [] {
        if item["Sequence"] != nil {
          texts += 1
        } else if let name = item["SpecialToken"]?["id"]?.string,
          let ids = json["special_tokens"]?[name]?["ids"]?.array
        {
          let tokens = ids.map { token($0) ?? -1 }
          if texts == 0 { before += tokens } else { after += tokens }
        } else {
          throw damaged("its template names a special token that it does not have")
        }
      }
      guard texts == 1 else { throw damaged("its template has not one place for a text") }
      tokenizer.opening = before + tokenizer.opening
      tokenizer.closing += after
    default:
      throw unsupported(
        "post-processor", type,
        known: [
          "TemplateProcessing", "ByteLevel", "RobertaProcessing", "BertProcessing", "Sequence",
        ])
    }
  }

  private func readPair(
    _ key: String, of json: TokenizerJSON
  ) throws(TokenizerError) -> Int32 {
    guard let pair = json[key]?.array, pair.count == 2,
      let token = pair[1].integer.flatMap(Int32.init(exactly:))
    else { throw damaged("its post-processor has no token \(key)") }
    return token
  }

  private static let knownDecoders = [
    "ByteLevel", "ByteFallback", "Metaspace", "Replace", "Strip", "Fuse", "Sequence",
  ]

  /// What makes text of tokens.
  func readDecoder(
    _ json: TokenizerJSON?, tokens: PieceTable, special: Set<Int32>
  ) throws(TokenizerError) -> TokenDecoder {
    var decoder = TokenDecoder(tokens: tokens, special: special)
    guard let json else {
      // Without a decoder tokens are joined by spaces.
      decoder.separates = true
      decoder.leadingSpaces = .removed(upTo: 1)
      return decoder
    }
    var isFused = false
    try readDecoder(json, into: &decoder, isFused: &isFused)
    return decoder
  }

  private func readDecoder(
    _ json: TokenizerJSON, into decoder: inout TokenDecoder, isFused: inout Bool
  ) throws(TokenizerError) {
    let type = try type(of: json, "decoder")
    guard !isFused || type == "Strip" || type == "Fuse" else {
      throw unsupported("decoder", "\(type) after Fuse", known: ["Strip after Fuse"])
    }
    guard !decoder.hasByteFallback || !["ByteLevel", "Strip"].contains(type) || isFused else {
      throw unsupported(
        "decoder", "\(type) after ByteFallback", known: ["Replace and Fuse after ByteFallback"])
    }
    switch type {
    case "Sequence":
      for part in json["decoders"]?.array ?? [] {
        try readDecoder(part, into: &decoder, isFused: &isFused)
      }
    case "Fuse": isFused = true
    case "ByteLevel":
      decoder.stages.append(.byteLevel)
      isFused = true
    case "ByteFallback": decoder.stages.append(.byteFallback)
    case "Metaspace":
      guard !decoder.replaces else {
        throw unsupported(
          "decoder", "Metaspace after Replace or Metaspace", known: ["one of them"])
      }
      let mark = Array((json["replacement"]?.string ?? "▁").utf8)
      decoder.stages.append(.replace(.literal(mark), [0x20]))
      if try readPrepending(json) != .never { decoder.leadingSpaces = .removedFromFirstToken }
    case "Replace":
      let content = try text("content", of: json, "decoder Replace")
      decoder.stages.append(
        .replace(try readPattern(json, "decoder Replace"), Array(content.utf8)))
    case "Strip":
      let (start, stop) = (json["start"]?.integer ?? 0, json["stop"]?.integer ?? 0)
      let content = Array((json["content"]?.string ?? " ").utf8)
      guard content.count == 1, !isFused || content == [0x20] && stop == 0 else {
        throw unsupported(
          "decoder", "Strip of this kind", known: ["Strip of spaces, after Fuse at the start"])
      }
      if isFused {
        decoder.leadingSpaces = start > 0 ? .removed(upTo: start) : .kept
      } else {
        decoder.stages.append(.strip(content[0], start: start, stop: stop))
      }
    default:
      throw unsupported("decoder", type, known: Self.knownDecoders)
    }
  }
}
