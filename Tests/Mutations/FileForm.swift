/// What a file is made of, which decides how it is damaged.
package enum FileForm: Sendable {
  /// Numbers, or packed.
  case bytes
  /// JSON or YAML.
  case text
  /// Eight bytes with the length of JSON, the JSON, and numbers.
  case safetensors

  /// A good file, damaged in one to four places.
  package func mutant(of file: [UInt8], _ draws: inout Draws) -> [UInt8] {
    var bytes = file
    for _ in 0...draws.below(4) { damage(&bytes, &draws) }
    return bytes
  }

  private func damage(_ bytes: inout [UInt8], _ draws: inout Draws) {
    switch self {
    case .bytes: draws.one(of: ByteMutation.allCases).apply(to: &bytes, &draws)
    case .text:
      // Text that is damaged byte by byte is mostly no JSON any more.
      if draws.below(4) == 0 {
        draws.one(of: ByteMutation.allCases).apply(to: &bytes, &draws)
      } else {
        draws.one(of: TextMutation.allCases).apply(to: &bytes, &draws)
      }
    case .safetensors:
      guard bytes.count >= 8, draws.below(4) > 0 else {
        return draws.one(of: ByteMutation.allCases).apply(to: &bytes, &draws)
      }
      let length = bytes[..<8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      let end = length > UInt64(bytes.count - 8) ? bytes.count : 8 + Int(length)
      var header = Array(bytes[8..<end])
      FileForm.text.damage(&header, &draws)
      let said = draws.below(8) == 0 ? length : UInt64(header.count)
      bytes =
        (0..<8).map { UInt8(truncatingIfNeeded: said >> UInt64(8 * $0)) } + header + bytes[end...]
    }
  }
}
