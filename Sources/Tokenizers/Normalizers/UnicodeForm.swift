import Foundation

/// One of Unicode's normalization forms, with the characters of Unicode 9 as Hugging Face's `tokenizers` has them: later
/// ones stay as they are.
enum UnicodeForm: String, Normalizer {
  case composed = "NFC"
  case decomposed = "NFD"
  case compatiblyComposed = "NFKC"
  case compatiblyDecomposed = "NFKD"

  /// How far the next change may lie to be normalized together with the one before, in bytes.
  private static let near = 64

  func normalize(_ text: inout [UInt8], _ scratch: EncodingScratch) {
    var result: [UInt8] = []
    var copied = 0
    text.withUnsafeBufferPointer { text in
      var index = 0
      while index < text.count {
        guard !isInert(text, index) else {
          index += utf8Length(text[index])
          continue
        }
        let start = max(copied, boundary(of: text, before: index))
        index = partEnd(of: text, from: index)
        result += text[copied..<start]
        append(normalized: text.part(start..<index), to: &result)
        copied = index
      }
      if copied > 0 { result += text[copied...] }
    }
    if copied > 0 { text = result }
  }

  /// Whether the character at a place is never changed, and changes nothing before it.
  @inline(__always)
  private func isInert(_ text: UnsafeBufferPointer<UInt8>, _ index: Int) -> Bool {
    guard text[index] >= 0x80 else { return true }
    guard self == .composed else { return false }
    // Letters, punctuation, syllables, ideographs and pictures that most texts are made of.
    switch text.scalar(at: index).value {
    case 0..<0x300, 0x2010...0x2027, 0x2030...0x205E, 0x3000...0x3029, 0x3041...0x3098,
      0x30A0...0x30FF, 0x4E00...0x9FFF, 0xAC00...0xD7A3, 0xFF00...0xFFEF, 0x1F300...0x1FAFF:
      return true
    default: return false
    }
  }

  /// The start of the ASCII character before a place that follows another one, or of the text: what comes before
  /// has no part in a change.
  private func boundary(of text: UnsafeBufferPointer<UInt8>, before place: Int) -> Int {
    var index = place
    while index > 0, !(text[index] < 0x80 && text[index - 1] < 0x80) { index -= 1 }
    return index
  }

  /// The end of the part to change: between two ASCII characters, with no other change near.
  private func partEnd(of text: UnsafeBufferPointer<UInt8>, from place: Int) -> Int {
    var last = place
    var index = place
    while index < text.count {
      if text[index] >= 0x80 {
        if !isInert(text, index) { last = index }
      } else if index > last + Self.near, text[index - 1] < 0x80 {
        return index
      }
      index += utf8Length(text[index])
    }
    return text.count
  }

  private func append(normalized text: UnsafeBufferPointer<UInt8>, to result: inout [UInt8]) {
    var start = 0
    var index = 0
    func flush(_ end: Int) {
      guard start < end else { return }
      let part = String(decoding: text[start..<end], as: UTF8.self)
      // Foundation's four properties compose wrongly beyond U+FFFF.
      let changed = part.applyingTransform(StringTransform("Any-\(rawValue)"), reverse: false)
      result += (changed ?? part).utf8
    }
    while index < text.count {
      let length = utf8Length(text[index])
      if text[index] >= 0x80, !text.scalar(at: index).isAssigned(in: 9) {
        flush(index)
        result += text[index..<index + length]
        start = index + length
      }
      index += length
    }
    flush(text.count)
  }
}

extension Unicode.Scalar {
  /// Whether a version of Unicode has the character.
  func isAssigned(in version: Int) -> Bool {
    guard let age = properties.age else { return false }
    return (age.major, age.minor) <= (version, 0)
  }
}
