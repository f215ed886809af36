/// What changes a text before it is cut into words.
protocol Normalizer: Sendable {
  /// Changes valid UTF-8 into valid UTF-8.
  func normalize(_ text: inout [UInt8], _ scratch: EncodingScratch)
}

/// Several normalizers, one after the other.
struct NormalizerSequence: Normalizer {
  /// In their order.
  let parts: [any Normalizer]

  func normalize(_ text: inout [UInt8], _ scratch: EncodingScratch) {
    for part in parts { part.normalize(&text, scratch) }
  }
}
