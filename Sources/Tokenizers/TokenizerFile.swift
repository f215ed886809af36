import Files

/// The files that tokenizers are read from.
package enum TokenizerFile {
  /// Names of SentencePiece's models in folders of models.
  private static let sentencePieceNames = [
    "tokenizer.model", "spiece.model", "sentencepiece.bpe.model",
  ]

  /// Reads a tokenizer.
  ///
  /// - Parameter path: `tokenizer.json`, a SentencePiece `.model`, or a folder with one of them.
  /// - Throws: `TokenizerError` that names what is missing, damaged or not known.
  package static func read(_ path: String) throws(TokenizerError) -> any Tokenizer {
    let file = FileSystem.isFolder(path) ? find(in: path) : path
    guard let file else { throw .notATokenizer(path: path) }
    if file.hasSuffix(".json") { return try PipelineReader(path: file).read() }
    return try SentencePieceReader(path: file).read()
  }

  /// The content of a file.
  ///
  /// - Throws: `TokenizerError.file` when it is missing or unreadable.
  static func content(of path: String) throws(TokenizerError) -> [UInt8] {
    do throws(FileError) {
      let file = try MappedFile(path: path)
      return Array(file.data)
    } catch {
      throw .file(error)
    }
  }

  /// The file of a folder that its tokenizer is read from; nil when it has none.
  package static func find(in folder: String) -> String? { all(in: folder).first }

  /// All files of a folder that hold its tokenizer, the one that is read first.
  package static func all(in folder: String) -> [String] {
    (["tokenizer.json"] + sentencePieceNames).map { "\(folder)/\($0)" }
      .filter(FileSystem.exists)
  }
}
