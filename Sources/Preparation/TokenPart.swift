import Configuration
import Corpora
import Files
import Foundation

/// What one unit became: its tokens, where documents begin in them, which are prompts; on the disk when it is complete.
struct TokenPart {
  let folder: String
  let index: Int
  /// Bytes of a token.
  let tokenBytes: Int
  let hasMask: Bool

  /// Counts of a complete part.
  struct Counts: Equatable, Sendable {
    var tokens = 0, documents = 0, masked = 0
  }

  private var name: String { "\(folder)/\(String(index + 1_000_000).dropFirst())" }
  var tokensPath: String { name + ".tokens" }
  var documentsPath: String { name + ".documents" }
  var maskPath: String { name + ".mask" }
  private var countsPath: String { name + ".json" }

  /// The counts; nil where the part is not complete.
  var counts: Counts? {
    guard let file = try? MappedFile(path: countsPath), let json = try? JSONValue(file.data),
      let tokens = json["tokens"]?.integer, let documents = json["documents"]?.integer,
      let masked = json["masked"]?.integer, Self.size(tokensPath) == tokens * tokenBytes,
      Self.size(documentsPath) == 8 * documents, !hasMask || Self.size(maskPath) == tokens
    else { return nil }
    return Counts(tokens: tokens, documents: documents, masked: masked)
  }

  private static func size(_ path: String) -> Int? {
    var status = stat()
    return stat(path, &status) == 0 ? Int(status.st_size) : nil
  }

  /// Makes the part from its unit's documents.
  ///
  /// - Parameter progress: Told the bytes of the source that have been read.
  func write(
    _ reader: DocumentReader, progress: (Int) throws(PreparationError) -> Void
  ) throws(PreparationError) -> Counts {
    var counts = Counts()
    let outputs = try files { () throws(FileError) in
      (
        try BufferedOutput(path: tokensPath), try BufferedOutput(path: documentsPath),
        hasMask ? try BufferedOutput(path: maskPath) : nil
      )
    }
    var isBeginning = false
    try reader.read { tokens, prompt, begins, position throws(PreparationError) in
      isBeginning = isBeginning || begins
      // A document without a token is none.
      guard !tokens.isEmpty else { return }
      try files { () throws(FileError) in
        if isBeginning {
          try outputs.1.append(UInt64(counts.tokens))
          counts.documents += 1
          isBeginning = false
        }
        try outputs.0.append(tokens, bytes: tokenBytes)
        try outputs.2?.append(mask: tokens.count, zeros: prompt)
      }
      counts.tokens += tokens.count
      counts.masked += prompt
      try progress(position)
    }
    try files { () throws(FileError) in
      try outputs.0.commit()
      try outputs.1.commit()
      try outputs.2?.commit()
      try AtomicFile.write(
        JSONValue.object([
          "tokens": .integer(counts.tokens), "documents": .integer(counts.documents),
          "masked": .integer(counts.masked),
        ]).encoded, to: countsPath)
    }
    return counts
  }
}
