import Foundation

/// Normalizers of `tokenizer.json`.
extension PipelineReader {
  private static let knownNormalizers = [
    "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip", "Replace", "Prepend",
    "Precompiled", "Nmt", "Sequence",
  ]

  /// The normalizer; nil where there is none.
  func readNormalizer(_ json: TokenizerJSON?) throws(TokenizerError) -> (any Normalizer)? {
    guard let json else { return nil }
    let type = try type(of: json, "normalizer")
    if let form = UnicodeForm(rawValue: type) { return form }
    switch type {
    case "Sequence":
      var parts: [any Normalizer] = []
      for part in json["normalizers"]?.array ?? [] {
        if let normalizer = try readNormalizer(part) { parts.append(normalizer) }
      }
      return NormalizerSequence(parts: parts)
    case "Lowercase": return Lowercase()
    case "StripAccents": return StripAccents()
    case "Strip":
      return Strip(
        left: flag("strip_left", of: json, default: true),
        right: flag("strip_right", of: json, default: true))
    case "Prepend":
      return Prepend(content: Array(try text("prepend", of: json, "normalizer Prepend").utf8))
    case "Nmt": return MachineTranslationSpaces()
    case "Replace":
      let content = try text("content", of: json, "normalizer Replace")
      let pattern = try readPattern(json, "normalizer Replace")
      if case .expression = pattern, content.contains("$") {
        throw unsupported(
          "normalizer", "Replace with groups (\(content))", known: ["a content without $"])
      }
      return Replace(pattern: pattern, content: Array(content.utf8))
    case "Precompiled":
      let text = try text("precompiled_charsmap", of: json, "normalizer Precompiled")
      guard let data = Data(base64Encoded: text) else {
        throw damaged("its precompiled_charsmap is not base64")
      }
      guard !data.isEmpty else { return nil }
      guard let map = CharacterMap(Array(data)) else {
        throw damaged("its precompiled_charsmap is no map of characters")
      }
      return Precompiled(map: map)
    default:
      throw unsupported("normalizer", type, known: Self.knownNormalizers)
    }
  }
}
