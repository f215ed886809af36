/// Pre-tokenizers of `tokenizer.json`.
extension PipelineReader {
  private static let knownPreTokenizers = [
    "ByteLevel", "Split", "Metaspace", "Digits", "Whitespace", "WhitespaceSplit", "Punctuation",
    "Sequence",
  ]

  /// What cuts texts, one after the other.
  func readPreTokenizers(_ json: TokenizerJSON?) throws(TokenizerError) -> [any PreTokenizer] {
    guard let json else { return [] }
    let type = try type(of: json, "pre-tokenizer")
    switch type {
    case "Sequence":
      var parts: [any PreTokenizer] = []
      for part in json["pretokenizers"]?.array ?? [] { parts += try readPreTokenizers(part) }
      return parts
    case "ByteLevel":
      let words =
        flag("use_regex", of: json, default: true)
        ? Split(
          pattern: .expression(try compile(ByteLevel.pattern)), behavior: .isolated,
          inverts: false) : nil
      return [
        ByteLevel(
          addsSpace: flag("add_prefix_space", of: json, default: true), words: words, spells: true)
      ]
    case "Split":
      return [
        Split(
          pattern: try readPattern(json, "pre-tokenizer Split"),
          behavior: try readBehavior(json, default: nil),
          inverts: flag("invert", of: json, default: false))
      ]
    case "Metaspace": return [try readMetaspace(json)]
    case "Digits":
      let isolates = flag("individual_digits", of: json, default: false)
      return [CharacterSplit(kind: .digits, behavior: isolates ? .isolated : .contiguous)]
    case "Whitespace":
      return [WordSplit()]
    case "WhitespaceSplit": return [CharacterSplit(kind: .whiteSpace, behavior: .removed)]
    case "Punctuation":
      return [
        CharacterSplit(kind: .punctuation, behavior: try readBehavior(json, default: .isolated))
      ]
    default:
      throw unsupported("pre-tokenizer", type, known: Self.knownPreTokenizers)
    }
  }

  private func readMetaspace(_ json: TokenizerJSON) throws(TokenizerError) -> Metaspace {
    let mark = json["replacement"]?.string ?? "▁"
    return Metaspace(
      mark: Array(mark.utf8), prepending: try readPrepending(json),
      splits: flag("split", of: json, default: true))
  }

  /// Where Metaspace puts marks; older files have a flag for it.
  func readPrepending(_ json: TokenizerJSON) throws(TokenizerError) -> Metaspace.Prepending {
    guard let scheme = json["prepend_scheme"]?.string else {
      return flag("add_prefix_space", of: json, default: true) ? .always : .never
    }
    guard let prepending = Metaspace.Prepending(rawValue: scheme) else {
      throw unsupported(
        "prepend_scheme of Metaspace", scheme,
        known: Metaspace.Prepending.allCases.map(\.rawValue))
    }
    return prepending
  }

  private func readBehavior(
    _ json: TokenizerJSON, default value: SplitBehavior?
  ) throws(TokenizerError) -> SplitBehavior {
    guard let name = json["behavior"]?.string else {
      if let value { return value }
      throw damaged("its pre-tokenizer Split has no behavior")
    }
    guard let behavior = SplitBehavior(rawValue: name) else {
      throw unsupported("behavior of Split", name, known: SplitBehavior.allCases.map(\.rawValue))
    }
    return behavior
  }
}
