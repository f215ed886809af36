import Glibc

/// How the bytes of a file are packed, as its first bytes tell.
package enum PackedFormat: String, Sendable {
  /// Not at all.
  case none
  /// gzip, one member or several.
  case gzip
  /// Zstandard, one frame or several.
  case zstandard = "Zstandard"

  /// Looks at a file's first bytes.
  package init(firstBytes: some Collection<UInt8>) {
    let first = Array(firstBytes.prefix(4))
    if first.starts(with: [0x1F, 0x8B]) {
      self = .gzip
    } else if first == [0x28, 0xB5, 0x2F, 0xFD] {
      self = .zstandard
    } else {
      self = .none
    }
  }
}
