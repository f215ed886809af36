/// What turns a word, as pre-tokenizers leave it, into tokens.
protocol WordModel: Sendable {
  /// Appends a word's tokens to those of the scratch.
  func encode(_ word: UnsafeBufferPointer<UInt8>, _ scratch: EncodingScratch)
}

extension WordModel {
  /// Appends the tokens of a short word, which are looked up where the word was seen lately.
  @inline(__always)
  func encodeCached(
    _ word: UnsafeBufferPointer<UInt8>, _ scratch: EncodingScratch,
    _ encode: (UnsafeBufferPointer<UInt8>) -> Void
  ) {
    guard word.count <= WordCache.longestWord, let base = word.baseAddress else {
      return encode(word)
    }
    let hash = byteHash(base, word.count)
    if let range = scratch.cache.find(word, hash: hash) {
      for index in range { scratch.tokens.append(scratch.cache.tokens[index]) }
      return
    }
    let first = scratch.tokens.count
    encode(word)
    scratch.cache.insert(word, hash: hash, tokens: scratch.tokens[first...])
  }
}
