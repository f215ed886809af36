import Tensors

/// What can be wrong with data to train or evaluate on.
public enum CorpusError: Error, Equatable, CustomStringConvertible {
  /// The operating system refused an operation.
  case file(FileError)
  /// A file without a byte.
  case empty(path: String)
  /// A file whose length is no multiple of a token's.
  case partialToken(path: String, bytes: Int, tokenBytes: Int)
  /// Too few tokens for a sequence.
  case tooShort(path: String, tokens: Int, heldOut: Int, length: Int)
  /// A token that the vocabulary does not have.
  case beyondVocabulary(path: String, position: Int, token: Int, vocabulary: Int)
  /// Text and token files in one list.
  case mixedTokens(path: String, tokenBytes: Int, otherPath: String, otherBytes: Int)
  /// Too few tokens for the recall task's pairs.
  case noRoomForPairs(keys: Int, places: Int, length: Int)

  /// One sentence: what is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .file(let error):
      return error.description
    case .empty(let path):
      return "\(path) is empty; data.path needs a file with text or tokens"
    case .partialToken(let path, let bytes, let tokenBytes):
      return "\(path) has \(bytes) bytes, which is no multiple of a token's \(tokenBytes); "
        + "set data.token_bytes to the bytes that a token takes in it"
    case .tooShort(let path, let tokens, let heldOut, let length):
      let rest = heldOut == 0 ? "" : ", \(heldOut) of them held out by data.held_out"
      return "\(path) has \(tokens) tokens\(rest), but a sequence.length of \(length) needs "
        + "\(length + 1) to train on; choose a shorter sequence.length"
    case .beyondVocabulary(let path, let position, let token, let vocabulary):
      return "\(path) has token \(token) at position \(position), beyond the vocabulary of "
        + "\(vocabulary); set the vocabulary to at least \(token + 1), or data.token_bytes to the "
        + "bytes that a token takes in it"
    case .mixedTokens(let path, let tokenBytes, let otherPath, let otherBytes):
      return
        "\(path) holds tokens of \(tokenBytes) bytes and \(otherPath) tokens of \(otherBytes); "
        + "train on files of one kind, or set data.token_bytes for all"
    case .noRoomForPairs(let keys, let places, let length):
      return "the recall task writes \(keys) pairs into the first \(places) tokens of a "
        + "sequence.length of \(length), where they do not fit; choose a longer sequence.length, "
        + "fewer data.recall_keys or a greater data.recall_key_fraction"
    }
  }
}
