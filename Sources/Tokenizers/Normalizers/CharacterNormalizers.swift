/// Small letters for capital ones, each character by itself.
struct Lowercase: Normalizer {
  func normalize(_ text: inout [UInt8], _ scratch: EncodingScratch) {
    text = text.mappedScalars { scalar, result in
      if scalar.isASCII {
        result.append(UInt8(scalar.value) | ((65...90).contains(scalar.value) ? 0x20 : 0))
      } else {
        result += scalar.properties.lowercaseMapping.utf8
      }
    }
  }
}

/// Leaves out marks that combine with the character before, those of Unicode 9 as Hugging Face's `tokenizers` does.
struct StripAccents: Normalizer {
  func normalize(_ text: inout [UInt8], _ scratch: EncodingScratch) {
    text = text.mappedScalars { scalar, result in
      if !isMark(scalar) { scalar.append(to: &result) }
    }
  }

  private func isMark(_ scalar: Unicode.Scalar) -> Bool {
    switch (scalar.value, scalar.properties.generalCategory) {
    case (0..<0x300, _): false
    // They have become a mark, and letters, since.
    case (0x111C9, _): false
    case (0x1CF2...0x1CF3, _): true
    case (_, .nonspacingMark), (_, .spacingMark), (_, .enclosingMark): scalar.isAssigned(in: 9)
    default: false
    }
  }
}

/// Leaves out white space at the start, the end, or both.
struct Strip: Normalizer {
  /// At which ends.
  let left, right: Bool

  func normalize(_ text: inout [UInt8], _ scratch: EncodingScratch) {
    let range = text.withUnsafeBufferPointer { text in
      var (start, end) = (0, text.count)
      while right, end > start {
        let last = text.start(before: end)
        guard text.scalar(at: last).properties.isWhitespace else { break }
        end = last
      }
      while left, start < end, text.scalar(at: start).properties.isWhitespace {
        start += utf8Length(text[start])
      }
      return start..<end
    }
    if range != text.indices { text = Array(text[range]) }
  }
}

/// Puts something before a text that is not empty.
struct Prepend: Normalizer {
  /// What is put there.
  let content: [UInt8]

  func normalize(_ text: inout [UInt8], _ scratch: EncodingScratch) {
    if !text.isEmpty { text.insert(contentsOf: content, at: 0) }
  }
}

/// The cleaning of text for machine translation: control characters go, all kinds of white space become spaces.
struct MachineTranslationSpaces: Normalizer {
  func normalize(_ text: inout [UInt8], _ scratch: EncodingScratch) {
    text = text.mappedScalars { scalar, result in
      switch scalar.value {
      case 0x1...0x8, 0xB, 0xE...0x1F, 0x7F, 0x8F, 0x9F: break
      case 0x9, 0xA, 0xC, 0xD, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD:
        result.append(0x20)
      default: scalar.append(to: &result)
      }
    }
  }
}

/// Puts a content in the place of all that a pattern matches.
struct Replace: Normalizer {
  /// What is looked for.
  let pattern: Pattern
  /// What takes its place.
  let content: [UInt8]

  func normalize(_ text: inout [UInt8], _ scratch: EncodingScratch) {
    var result: [UInt8] = []
    result.reserveCapacity(text.count)
    text.withUnsafeBufferPointer { text in
      var end = 0
      pattern.forEachMatch(in: text, scratch.match) { range in
        result += text[end..<range.lowerBound]
        result += content
        end = range.upperBound
      }
      result += text[end...]
    }
    text = result
  }
}

extension [UInt8] {
  /// What a function makes of each character.
  @inline(__always)
  func mappedScalars(_ body: (Unicode.Scalar, inout [UInt8]) -> Void) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(count)
    withUnsafeBufferPointer { text in
      var index = 0
      while index < text.count {
        body(text.scalar(at: index), &result)
        index += utf8Length(text[index])
      }
    }
    return result
  }
}
