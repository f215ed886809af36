/// The character that byte-level vocabularies write for each byte: itself where it can be printed, else one from
/// U+0100 on.
///
/// Source: GPT-2 (Radford et al. 2019), `bytes_to_unicode`.
enum ByteAlphabet {
  /// The characters of all bytes.
  static let scalars: [Unicode.Scalar] = {
    var next: UInt32 = 0x100
    return (0..<256).map { byte -> Unicode.Scalar in
      let isPrinted = (33...126).contains(byte) || (161...172).contains(byte) || byte >= 174
      if isPrinted { return Unicode.Scalar(UInt8(byte)) }
      defer { next += 1 }
      return Unicode.Scalar(next)!
    }
  }()

  /// The bytes of characters.
  private static let bytes: [Unicode.Scalar: UInt8] = Dictionary(
    uniqueKeysWithValues: zip(scalars, (0..<256).map { UInt8($0) }))

  /// Appends the characters of some bytes.
  static func spell(_ bytes: UnsafeBufferPointer<UInt8>, into text: inout [UInt8]) {
    for byte in bytes { scalars[Int(byte)].append(to: &text) }
  }

  /// The bytes that a text spells; nil where a character stands for none.
  static func bytes(spelledBy text: String) -> [UInt8]? {
    var result: [UInt8] = []
    for scalar in text.unicodeScalars {
      guard let byte = bytes[scalar] else { return nil }
      result.append(byte)
    }
    return result
  }
}
