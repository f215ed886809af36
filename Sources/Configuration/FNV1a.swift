extension Sequence<UInt8> {
  /// A number that tells contents apart, and keeps nobody from making two alike: FNV-1a, 64 bits.
  ///
  /// - Source: Fowler, Noll and Vo, "The FNV Non-Cryptographic Hash Algorithm".
  package var fnv1a: UInt64 {
    reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }
}
