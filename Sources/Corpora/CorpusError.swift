import Files

/// What can be wrong with data to train or evaluate on.
package enum CorpusError: Error, Equatable, CustomStringConvertible {
  /// The operating system refused an operation.
  case file(FileError)
  /// A file without a byte.
  case empty(path: String)
  /// A file whose length is no multiple of a token's.
  case partialToken(path: String, bytes: Int, tokenBytes: Int)
  /// Tokens too narrow for the vocabulary that they are said to have.
  case tooNarrow(path: String, tokenBytes: Int, vocabulary: Int)
  /// A file that looks as if its tokens had four bytes, which nothing says.
  case looksWide(path: String)
  /// A token that no vocabulary has.
  case implausible(path: String, token: Int, tokenBytes: Int)
  /// Tokens of another width than was said.
  case otherWidth(path: String, said: Int, tokenBytes: Int)
  /// A file of a format that is neither text nor tokens.
  case foreignFormat(path: String, ForeignFormat)
  /// Too few tokens for a sequence.
  case tooShort(path: String, tokens: Int, heldOut: Int, length: Int)
  /// A token that the vocabulary does not have.
  case beyondVocabulary(path: String, position: Int, token: Int, vocabulary: Int)
  /// Text and token files in one list.
  case mixedTokens(path: String, tokenBytes: Int, otherPath: String, otherBytes: Int)
  /// Too few tokens for a sequence in each stream.
  case streamTooShort(path: String, tokens: Int, streams: Int, length: Int)
  /// A separator of documents that no token can be.
  case separatorBeyond(path: String, token: Int, vocabulary: Int)
  /// A file of document offsets whose length is no multiple of an offset's 8 bytes.
  case partialOffset(path: String, bytes: Int)
  /// A document offset that is not above the one before.
  case unsortedOffsets(path: String, index: Int, offset: UInt64, previous: UInt64)
  /// A document offset beyond the tokens.
  case offsetBeyond(path: String, index: Int, offset: UInt64, file: String, tokens: Int)
  /// A loss mask that has not one byte a token.
  case maskLength(path: String, bytes: Int, file: String, tokens: Int)
  /// A loss mask with a byte that is neither 0 nor 1.
  case maskValue(path: String, position: Int, value: UInt8)
  /// A file that does not hold what tokens to evaluate are read from.
  case unreadable(path: String, reason: String)
  /// A prepared folder of another tokenizer than the run's.
  case foreignTokens(path: String, tokenizer: String, other: String)
  /// Files in which no token is to be predicted.
  case noTarget(paths: [String])
  /// Too few tokens for the recall task's pairs.
  case noRoomForPairs(keys: Int, places: Int, length: Int)
  /// Too few tokens for what a task puts into a sequence.
  case noRoomForTask(task: String, length: Int, least: Int, what: String)
  /// A text that is too long to be made into tokens as a run starts.
  case textTooLong(path: String, bytes: Int, most: Int)
  /// A text with too few tokens for a sequence of a task.
  case textTooShort(key: String, path: String, tokens: Int, least: Int)
  /// A task with more tokens than a model knows.
  case taskBeyondVocabulary(task: String, tokens: Int, vocabulary: Int)
  /// A companion file that says something else than when it was opened.
  case changed(path: String, position: Int, reason: String)
  /// Labels that are not as many as the tokens.
  case labelCount(path: String, labels: Int, file: String, tokens: Int)

  /// What the operating system refused, if that is what was wrong.
  package var fileError: FileError? { if case .file(let error) = self { error } else { nil } }

  /// One sentence: what is wrong, where, and what to do.
  package var description: String {
    switch self {
    case .file(let error):
      return error.description
    case .empty(let path):
      return "\(path) is empty; data.path needs a file with text or tokens"
    case .partialToken(let path, let bytes, let tokenBytes):
      return "\(path) has \(bytes) bytes, which is no multiple of a token's \(tokenBytes); "
        + "set data.token_bytes to the bytes that a token takes in it"
    case .tooNarrow(let path, let tokenBytes, let vocabulary):
      return
        "\(path) is read as tokens of \(tokenBytes) bytes, which cannot hold a vocabulary of "
        + "\(vocabulary); set data.token_bytes=4, or data.vocabulary to the number of tokens that the file's "
        + "own tokenizer has"
    case .looksWide(let path):
      return
        "\(path) looks as if its tokens had 4 bytes: read as tokens of 2, every other one is next to "
        + "nothing; set data.token_bytes=4, or data.token_bytes=2 if that is how it is meant"
    case .implausible(let path, let token, let tokenBytes):
      return
        "\(path) has token \(token), which no vocabulary has; set data.token_bytes to the bytes that a token "
        + "takes in it, which seem not to be \(tokenBytes)"
    case .otherWidth(let path, let said, let tokenBytes):
      return
        "\(path) says itself that its tokens have \(tokenBytes) bytes, but data.token_bytes is "
        + "\(said); remove data.token_bytes"
    case .foreignFormat(let path, let format):
      return format.sentence(path)
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
    case .streamTooShort(let path, let tokens, let streams, let length):
      return
        "\(path) has \(tokens) tokens to train on, too few for the training.batch of \(streams) "
        + "streams with more than a sequence.length of \(length) each; choose a smaller training.batch, "
        + "a shorter sequence.length, or data.carry=false"
    case .separatorBeyond(let path, let token, let vocabulary):
      return "data.documents separates the documents of \(path) by token \(token), but its "
        + "vocabulary has only \(vocabulary) tokens; give the number of the token that ends a document"
    case .partialOffset(let path, let bytes):
      return "\(path) has \(bytes) bytes, which is no multiple of 8; data.documents needs "
        + "little-endian uint64 token offsets, one for each document's start"
    case .unsortedOffsets(let path, let index, let offset, let previous):
      return "\(path) lists offset \(offset) at place \(index) after \(previous); data.documents "
        + "needs ascending token offsets, each once"
    case .offsetBeyond(let path, let index, let offset, let file, let tokens):
      return "\(path) lists offset \(offset) at place \(index), but \(file) has only \(tokens) "
        + "tokens; data.documents needs offsets counted in tokens of that file"
    case .foreignTokens(let path, let tokenizer, let other):
      return
        "\(path) holds tokens of the tokenizer \(tokenizer), which is another than that of \(other); prepare it "
        + "anew with lasp-train prepare --tokenizer \(other), or give its own as data.tokenizer"
    case .noTarget(let paths):
      return
        "there is no token to predict in \(paths.joined(separator: ", ")), and so no loss; look at "
        + "data.loss_mask and data.documents"
    case .maskLength(let path, let bytes, let file, let tokens):
      return "\(path) has \(bytes) bytes, but \(file) has \(tokens) tokens; data.loss_mask needs "
        + "one byte for each token"
    case .maskValue(let path, let position, let value):
      return "\(path) has a byte of \(value) at position \(position); data.loss_mask needs bytes "
        + "of 0 (no loss) and 1 (loss)"
    case .unreadable(let path, let reason):
      return "\(path) cannot be read as tokens: \(reason)"
    case .noRoomForTask(let task, let length, let least, let what):
      return
        "a sequence.length of \(length) is too short for the \(task) task, which needs at least "
        + "\(least) tokens for \(what), or choose a longer sequence"
    case .textTooLong(let path, let bytes, let most):
      return
        "\(path) has \(bytes) bytes, but a run makes at most \(most) bytes of text into tokens as it starts; "
        + "make a token file of it before, with lasp-train prepare"
    case .textTooShort(let key, let path, let tokens, let least):
      return
        "\(path) has \(tokens) bytes, but a sequence takes \(least) of it; give a longer text as "
        + "\(key), or choose a shorter sequence"
    case .taskBeyondVocabulary(let task, let tokens, let vocabulary):
      return
        "the \(task) task has \(tokens) different tokens, but the model knows \(vocabulary); give "
        + "the keys of data that it was trained with, or another data.task"
    case .changed(let path, let position, let reason):
      return
        "\(path) was changed while it was read: at byte \(position) \(reason); restore it, and go on from the "
        + "last checkpoint"
    case .labelCount(let path, let labels, let file, let tokens):
      return
        "\(path) has \(labels) labels, but \(file) has \(tokens) tokens; data.labels needs one for "
        + "each token"
    case .noRoomForPairs(let keys, let places, let length):
      return "the recall task writes \(keys) pairs into the first \(places) tokens of a "
        + "sequence.length of \(length), where they do not fit; choose a longer sequence.length, "
        + "fewer data.recall_keys or a greater data.recall_key_fraction"
    }
  }
}

/// Runs file operations, whose errors become those of data.
func dataFiles<Result>(_ body: () throws(FileError) -> Result) throws(CorpusError) -> Result {
  do { return try body() } catch { throw .file(error) }
}
