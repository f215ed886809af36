import Files
import Tokenizers

/// A file of tokens: text, one token a byte, or little-endian `uint16` or `uint32` tokens, as they stand
/// (nanoGPT's), after llm.c's header, or with Megatron's index beside them.
package struct TokenFile: Sendable {
  /// Where documents begin in it, at first as the file itself says; nil where it is one text.
  package var documents: Documents?
  /// Which tokens are to be predicted; nil for all.
  package var lossMask: LossMask?
  /// The target at each token; nil where it is the token after it.
  package var labels: Labels?
  /// What the text was, where a tokenizer made the tokens; nil for a file of tokens.
  package let text: Text?
  /// What the tokens stand for; nil where they are bytes, or nobody knows.
  package var tokenizer: (any Tokenizer)?
  /// Whether a tokenizer made the tokens, so that one that is as wide as a byte is none.
  var isTokenized = false
  private let tokens: StoredTokens

  /// Number of tokens.
  package var count: Int { tokens.count }
  /// Bytes that a token takes: 1, 2 or 4.
  package var tokenBytes: Int { tokens.tokenBytes }
  /// Where the file lies.
  package var path: String { tokens.path }
  /// Whether what is predicted are bytes of text.
  var predictsBytes: Bool {
    tokenBytes == 1 && labels == nil && tokenizer == nil && !isTokenized
  }

  /// Opens a file, and looks at how it begins.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - tokenBytes: Bytes that a token takes, 1, 2 or 4; 0 for what the file says, or 2 if its name ends with
  ///     `.bin`, else 1.
  /// - Throws: `CorpusError` when it is missing, unreadable, empty, of a format that is no text or tokens, or ends
  ///   within a token.
  package init(path: String, tokenBytes: Int = 0) throws(CorpusError) {
    tokens = try StoredTokens(path: path, tokenBytes: tokenBytes)
    documents = tokens.documents.map(Documents.offsets)
    text = nil
  }

  /// Takes tokens that were made of a text.
  init(_ tokens: StoredTokens, text: Text) { (self.tokens, self.text) = (tokens, text) }

  /// Opens a file: text where there is a tokenizer and nothing says that it holds tokens, else tokens.
  ///
  /// - Throws: `CorpusError` as for a file of tokens, or when a text is too long to be made into tokens here.
  package init(
    path: String, tokenBytes: Int, tokenizer: (any Tokenizer)?
  ) throws(CorpusError) {
    let file = try TokenFile(path: path, tokenBytes: tokenBytes)
    if let tokenizer, tokenBytes == 0, file.tokenBytes == 1 {
      self = try TokenFile(text: file.tokens, tokenizer: tokenizer)
    } else {
      self = file
    }
  }

  /// Refuses a width in which the tokens of a vocabulary have no room.
  ///
  /// - Parameter vocabulary: Number of different tokens that the file was said to hold; 0 for no word on it.
  package func check(said vocabulary: Int) throws(CorpusError) {
    guard tokenBytes == 2, labels == nil, vocabulary > 1 << 16 else { return }
    throw .tooNarrow(path: path, tokenBytes: tokenBytes, vocabulary: vocabulary)
  }

  /// Reads consecutive tokens.
  ///
  /// - Parameters:
  ///   - range: Which, within `0..<count`.
  ///   - destination: Room for as many; a token above `Int32.max` becomes negative.
  /// - Throws: `CorpusError` when the disk fails, or when the file has become shorter.
  package func read(
    _ range: Range<Int>, into destination: UnsafeMutablePointer<Int32>
  ) throws(CorpusError) {
    try tokens.read(range, into: destination)
  }

  /// Reads the inputs and targets of a part of the window that begins at token `start`.
  ///
  /// There is no target where the token to predict begins a document, or where the loss mask leaves it
  /// out. With labels the targets are those of the tokens themselves.
  ///
  /// - Parameters:
  ///   - start: The window's first token.
  ///   - positions: Which positions of the window.
  ///   - end: The first token that must not be read; positions from there on get input 0, and the
  ///     position before it and those get target −1.
  ///   - vocabulary: Number of different tokens.
  ///   - inputs: Room for the tokens at the positions.
  ///   - targets: Room for the tokens after them.
  /// - Throws: `CorpusError` that names a token beyond the vocabulary, or a byte of the loss mask that is
  ///   neither 0 nor 1, among those that are read.
  func readWindow(
    at start: Int, positions: Range<Int>, end: Int, vocabulary: Int,
    inputs: UnsafeMutableBufferPointer<Int32>, targets: UnsafeMutableBufferPointer<Int32>
  ) throws(CorpusError) {
    guard let inputs = inputs.baseAddress, let targets = targets.baseAddress else { return }
    let first = start + positions.lowerBound
    let present = max(0, min(positions.count, end - first))
    if present > 0 {
      try read(first..<first + present, into: inputs)
      try tokens.check(inputs, count: present, from: first, vocabulary: vocabulary)
    }
    for i in present..<positions.count { inputs[i] = 0 }
    if let labels {
      if present > 0 {
        try labels.read(first..<first + present, into: targets, vocabulary: vocabulary)
      }
      for i in present..<positions.count { targets[i] = -1 }
      return
    }
    // A target is the next input; only the last one is read from the file once more.
    for i in 0..<max(0, present - 1) { targets[i] = inputs[i + 1] }
    for i in max(0, present - 1)..<positions.count { targets[i] = -1 }
    if present > 0, first + present < end {
      let last = targets + (present - 1)
      try read(first + present..<first + present + 1, into: last)
      try tokens.check(last, count: 1, from: first + present, vocabulary: vocabulary)
    }
    let predicted = first + 1..<first + 1 + present
    for token in try documentStarts(in: predicted.clamped(to: 0..<end)) {
      targets[token - predicted.lowerBound] = -1
    }
    try lossMask?.apply(to: targets, count: present, from: first + 1)
  }

  /// The vocabulary that the file's tokens and labels need: 256 for bytes, else one more than the largest token.
  ///
  /// With several parts each gives what the tokens of its share need, so that ranks may read a file
  /// together; the file needs the greatest of them.
  ///
  /// - Parameters:
  ///   - part: Which part of the file, from 0.
  ///   - parts: Number of its parts.
  /// - Throws: `CorpusError` when the disk fails, or when a file has become shorter.
  package func vocabulary(part: Int, of parts: Int) throws(CorpusError) -> Int {
    precondition((0..<parts).contains(part), "part \(part) of \(parts)")
    if let text { return text.vocabulary }
    guard tokenBytes > 1 else { return ByteTokenizer().vocabulary }
    let range = count * part / parts..<count * (part + 1) / parts
    return max(
      Int(try tokens.largestToken(in: range)) + 1, try labels?.vocabulary(in: range) ?? 0)
  }
}
