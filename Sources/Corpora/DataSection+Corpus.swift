import Files
import Tokenizers

extension DataSection {
  /// The tokenizer that the section names, or that of a model where it names none and has text; nil for bytes.
  ///
  /// - Parameters:
  ///   - model: Folder of the model that is trained or evaluated, or nil.
  ///   - others: Files that are read too.
  /// - Throws: `TokenizerError` when it cannot be read.
  package func readTokenizer(
    model: String?, others: [String] = []
  ) throws(TokenizerError) -> ModelTokenizer? {
    if let tokenizer {
      return tokenizer == ByteTokenizer.name ? nil : try ModelTokenizer(path: tokenizer)
    }
    guard let model,
      (path.map(\.path) + others).contains(where: {
        TokenFile.isText($0, tokenBytes: tokenBytes.count)
      })
    else { return nil }
    return try ModelTokenizer(model: model)
  }

  /// What the tokens of token files stand for, where the section names no tokenizer: that of a model, else the one by which
  /// folders of tokens were prepared, if it lies unchanged where it lay; nil where nobody knows, or it cannot be read.
  ///
  /// - Parameters:
  ///   - model: Folder of the model that is trained or evaluated, or nil.
  ///   - others: Files that are read too.
  package func tokenizerOfTokens(model: String?, others: [String] = []) -> (any Tokenizer)? {
    let files = (path.map(\.path) + others).filter {
      !TokenFile.isText($0, tokenBytes: tokenBytes.count)
    }
    guard tokenizer == nil, !files.isEmpty else { return nil }
    if let model, let own = try? ModelTokenizer(model: model) { return own.tokenizer }
    let folders = files.compactMap { try? PreparedFolder(folder: $0) }
    guard let first = folders.first, folders.count == files.count,
      folders.allSatisfy({ $0.tokenizerHash == first.tokenizerHash }),
      (try? TokenizerFile.hashes(in: first.tokenizer))?.contains(first.tokenizerHash) == true,
      first.tokenizer != ByteTokenizer.name
    else { return nil }
    return (try? ModelTokenizer(path: first.tokenizer))?.tokenizer
  }

  /// The corpus that the section describes: its files, or the task where it names none.
  ///
  /// - Parameters:
  ///   - length: Tokens of a sequence.
  ///   - batch: Sequences of a step, over the whole world.
  ///   - seed: The run's seed.
  ///   - vocabulary: Number of different tokens that the model knows; 0 for the section's own, or what
  ///     the files hold.
  ///   - tokenizer: What makes tokens of text; nil for bytes.
  ///   - meaning: What tokens stand for that a file holds; nil where nobody knows.
  /// - Throws: `CorpusError` when the data is missing, unreadable or does not fit.
  package func makeCorpus(
    length: Int, batch: Int, seed: UInt64, vocabulary: Int = 0, tokenizer: (any Tokenizer)? = nil,
    meaning: (any Tokenizer)? = nil
  ) throws(CorpusError) -> any TrainingCorpus {
    guard !path.isEmpty else {
      return try makeTask(length: length, batch: batch, seed: seed)
    }
    let files = try openFiles(tokenizer: tokenizer, meaning: meaning)
    let said = self.vocabulary > 0 ? self.vocabulary : vocabulary
    for (file, _) in files { try file.check(said: said) }
    guard !carry else {
      return try TokenStreams(
        file: files[0].file, length: length, batch: batch, heldOut: heldOut,
        vocabulary: vocabulary > 0 ? vocabulary : self.vocabulary)
    }
    return try TextCorpus(
      files: files, length: length, batch: batch, seed: seed, heldOut: heldOut,
      vocabulary: vocabulary > 0 ? vocabulary : self.vocabulary)
  }

  /// The task that the section names, whatever files it names too.
  ///
  /// - Parameters:
  ///   - length: Tokens of a sequence.
  ///   - batch: Sequences of a step.
  ///   - seed: The run's seed.
  /// - Throws: `CorpusError` when the task's keys do not fit the length, or its text cannot be read.
  package func makeTask(
    length: Int, batch: Int, seed: UInt64
  ) throws(CorpusError) -> any TaskCorpus {
    try Tasks.named(task).corpus(self, length: length, batch: batch, seed: seed)
  }

  /// The vocabulary that a tokenizer needs; 0 where the section says another one.
  package func vocabularyOfTokenizer(_ tokenizer: (any Tokenizer)?) -> Int {
    vocabulary > 0 ? 0 : tokenizer?.vocabulary ?? 0
  }

  /// The vocabulary that a part of the files' tokens needs; 0 where nothing must be read to know it.
  ///
  /// - Parameters:
  ///   - part: Which part of each file, from 0.
  ///   - parts: Number of parts; the files need the greatest of their vocabularies.
  ///   - tokenizer: What makes tokens of text; nil for bytes.
  /// - Throws: `CorpusError` when a file is missing or unreadable.
  package func vocabularyOfFiles(
    part: Int, of parts: Int, tokenizer: (any Tokenizer)? = nil
  ) throws(CorpusError) -> Int {
    guard vocabulary == 0 else { return 0 }
    var needed = tokenizer?.vocabulary ?? 0
    for (index, path) in path.enumerated() {
      if FileSystem.isFolder(path.path) {
        needed = max(needed, try PreparedFolder(folder: path.path).vocabulary)
        continue
      }
      if tokenizer != nil, TokenFile.isText(path.path, tokenBytes: tokenBytes.count) { continue }
      var file = try TokenFile(path: path.path, tokenBytes: tokenBytes.count)
      file.labels = try openLabels(index, of: file)
      let here = try file.vocabulary(part: part, of: parts)
      guard here <= Self.mostTokens else {
        throw .implausible(path: file.path, token: here - 1, tokenBytes: file.tokenBytes)
      }
      needed = max(needed, here)
    }
    return needed
  }

  /// The most tokens that a vocabulary may turn out to have.
  static let mostTokens = 1 << 24

  /// The files with their weights, document starts and loss masks.
  ///
  /// - Parameters:
  ///   - tokenizer: What makes tokens of text; nil for bytes.
  ///   - meaning: What tokens stand for that a file holds; nil where nobody knows.
  /// - Throws: `CorpusError` when a file or companion file is missing or does not fit.
  package func openFiles(
    tokenizer: (any Tokenizer)? = nil, meaning: (any Tokenizer)? = nil
  ) throws(CorpusError) -> [(file: TokenFile, weight: Double)] {
    var files: [(file: TokenFile, weight: Double)] = []
    for (index, path) in path.enumerated() {
      var file = try TokenFile(
        data: path.path, tokenBytes: tokenBytes.count, tokenizer: tokenizer)
      if file.text == nil { file.tokenizer = meaning }
      if let separator {
        file.documents = .separator(separator)
      } else if let text = documents.dropFirst(index).first {
        if let token = Int32(text) {
          file.documents = .separator(token)
        } else {
          file.documents = .offsets(try DocumentOffsets(path: text, of: file))
        }
      }
      if let mask = lossMask.dropFirst(index).first {
        file.lossMask = try LossMask(path: mask, of: file)
      }
      file.labels = try openLabels(index, of: file)
      files.append((file, path.weight))
    }
    return files
  }

  /// The labels of the file at a place; nil where there are none.
  private func openLabels(_ index: Int, of file: TokenFile) throws(CorpusError) -> Labels? {
    guard let path = labels.dropFirst(index).first else { return nil }
    return try Labels(path: path, tokenBytes: tokenBytes.count, of: file)
  }
}
