import Configuration
import Files
import Foundation
import Tokenizers

/// A folder of tokens as `lasp-train prepare` writes it: the tokens, where documents begin, perhaps a loss mask, and
/// `meta.json`, which says what they are.
package struct PreparedFolder: Equatable, Sendable {
  /// A file that tokens were made from.
  package struct Source: Equatable, Sendable {
    package let path: String
    package let bytes, documents, tokens: Int

    package init(path: String, bytes: Int, documents: Int, tokens: Int) {
      (self.path, self.bytes, self.documents, self.tokens) = (path, bytes, documents, tokens)
    }
  }

  /// One more than the largest token that the tokenizer has.
  package let vocabulary: Int
  /// Bytes of a token: 1, 2 or 4, the fewest that hold the vocabulary.
  package let tokenBytes: Int
  /// All tokens, all documents, and how many tokens the loss mask leaves out; nil without one.
  package let tokens, documents: Int
  package let masked: Int?
  /// Where the tokenizer lay, and its hash.
  package let tokenizer, tokenizerHash: String
  package let sources: [Source]

  package init(
    vocabulary: Int, tokenBytes: Int, tokens: Int, documents: Int, masked: Int?, tokenizer: String,
    tokenizerHash: String, sources: [Source]
  ) {
    (self.vocabulary, self.tokenBytes, self.tokens) = (vocabulary, tokenBytes, tokens)
    (self.documents, self.masked) = (documents, masked)
    (self.tokenizer, self.tokenizerHash, self.sources) = (tokenizer, tokenizerHash, sources)
  }

  /// Names of the files.
  package static let metaName = "meta.json"
  package static let tokensName = "tokens.bin"
  package static let documentsName = "documents.bin"
  package static let maskName = "mask.bin"
  private static let format = "lasp-train tokens"

  /// The fewest bytes that hold every token of a vocabulary.
  package static func tokenBytes(vocabulary: Int) -> Int {
    vocabulary <= 1 << 8 ? 1 : vocabulary <= 1 << 16 ? 2 : 4
  }

  /// Reads a folder's `meta.json`.
  ///
  /// - Throws: `CorpusError` when there is none, or it is not what `prepare` writes.
  package init(folder: String) throws(CorpusError) {
    let path = "\(folder)/\(Self.metaName)"
    guard FileSystem.exists(path) else {
      throw .unreadable(
        path: folder,
        reason: "it is a folder without \(Self.metaName); give a file, or a folder that lasp-train "
          + "prepare has completed")
    }
    let file = try dataFiles { () throws(FileError) in try MappedFile(path: path, most: 1 << 30) }
    guard let json = try? JSONValue(file.data), json["format"]?.string == Self.format,
      let vocabulary = json["vocabulary"]?.integer,
      (1...DataSection.mostTokens).contains(vocabulary),
      let tokenBytes = json["token_bytes"]?.integer, [1, 2, 4].contains(tokenBytes),
      let tokens = json["tokens"]?.integer, tokens > 0,
      let documents = json["documents"]?.integer, documents > 0,
      let tokenizer = json["tokenizer"]?.string, let hash = json["tokenizer_hash"]?.string
    else {
      throw .unreadable(path: path, reason: "it is not what lasp-train prepare writes")
    }
    self.init(
      vocabulary: vocabulary, tokenBytes: tokenBytes, tokens: tokens, documents: documents,
      masked: json["masked"]?.integer, tokenizer: tokenizer, tokenizerHash: hash,
      sources: (json["sources"]?.array ?? []).map {
        Source(
          path: $0["path"]?.string ?? "", bytes: $0["bytes"]?.integer ?? 0,
          documents: $0["documents"]?.integer ?? 0, tokens: $0["tokens"]?.integer ?? 0)
      })
  }

  /// The content of `meta.json`.
  package var encoded: Data {
    var fields: [String: JSONValue] = [
      "format": .string(Self.format), "vocabulary": .integer(vocabulary),
      "token_bytes": .integer(tokenBytes), "tokens": .integer(tokens),
      "documents": .integer(documents), "tokenizer": .string(tokenizer),
      "tokenizer_hash": .string(tokenizerHash),
      "sources": .array(
        sources.map {
          .object([
            "path": .string($0.path), "bytes": .integer($0.bytes),
            "documents": .integer($0.documents), "tokens": .integer($0.tokens),
          ])
        }),
    ]
    if let masked { fields["masked"] = .integer(masked) }
    return JSONValue.object(fields).encoded
  }

  /// The folder's tokens with their documents and loss mask.
  ///
  /// - Throws: `CorpusError` when a file is missing or is not as long as `meta.json` says.
  package func open(_ folder: String) throws(CorpusError) -> TokenFile {
    var file = try TokenFile(path: "\(folder)/\(Self.tokensName)", tokenBytes: tokenBytes)
    guard file.count == tokens else {
      throw .unreadable(
        path: file.path,
        reason:
          "it has \(file.count) tokens where \(Self.metaName) says \(tokens); prepare the folder again"
      )
    }
    let offsets = try DocumentOffsets(path: "\(folder)/\(Self.documentsName)", of: file)
    file.documents = .offsets(offsets)
    file.isTokenized = tokenizerHash != ByteTokenizer.name
    if masked != nil { file.lossMask = try LossMask(path: "\(folder)/\(Self.maskName)", of: file) }
    return file
  }
}

extension TokenFile {
  /// Opens what is to be read as tokens: a file, or a folder that was prepared, with its documents and loss mask.
  ///
  /// - Parameter tokenizer: What makes tokens of a file that is text; nil for bytes.
  /// - Throws: `CorpusError` as when a file is opened, or where the folder is not complete.
  package init(
    data path: String, tokenBytes: Int = 0, tokenizer: (any Tokenizer)? = nil
  ) throws(CorpusError) {
    self =
      FileSystem.isFolder(path)
      ? try PreparedFolder(folder: path).open(path)
      : try TokenFile(path: path, tokenBytes: tokenBytes, tokenizer: tokenizer)
  }
}
