import Files

/// Why a tokenizer cannot be read.
package enum TokenizerError: Error, Equatable, CustomStringConvertible {
  /// The operating system refused an operation.
  case file(FileError)
  /// A folder or file that is no tokenizer.
  case notATokenizer(path: String)
  /// A file that does not hold what it should.
  case damaged(path: String, reason: String)
  /// A part of a tokenizer that is not known here.
  case unsupported(path: String, part: String, kind: String, known: String)
  /// A tokenizer with more tokens than a model knows.
  case misfit(path: String, tokens: Int, vocabulary: Int)
  /// A regular expression that cannot be read.
  case pattern(path: String, pattern: String, reason: String)

  /// What the operating system refused, if that is what was wrong.
  package var fileError: FileError? { if case .file(let error) = self { error } else { nil } }

  /// One sentence: what is wrong, where, and what to do.
  package var description: String {
    switch self {
    case .file(let error):
      error.description
    case .notATokenizer(let path):
      "\(path) holds no tokenizer; give a folder with tokenizer.json or tokenizer.model, or such a "
        + "file"
    case .damaged(let path, let reason):
      "\(path) cannot be read as a tokenizer: \(reason)"
    case .unsupported(let path, let part, let kind, let known):
      "\(path) has the \(part) \(kind), which is not known here; known are \(known)"
    case .misfit(let path, let tokens, let vocabulary):
      "the tokenizer \(path) has \(tokens) tokens, but the model knows \(vocabulary); use the tokenizer that "
        + "the model was trained with"
    case .pattern(let path, let pattern, let reason):
      "\(path) has the regular expression \(pattern), which cannot be read: \(reason)"
    }
  }
}
