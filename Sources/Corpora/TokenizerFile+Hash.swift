import Configuration
import Files
import Tokenizers

extension TokenizerFile {
  /// What tells a tokenizer's file from others in `meta.json`.
  ///
  /// - Parameter path: The file, or `bytes`.
  package static func hash(_ path: String) throws(FileError) -> String {
    guard path != ByteTokenizer.name else { return path }
    let digits = String(try MappedFile(path: path).data.fnv1a, radix: 16)
    return "fnv1a:" + String(repeating: "0", count: 16 - digits.count) + digits
  }
}

extension TokenizerFile {
  /// What tells the tokenizer's files of a folder from others, or a file, or `bytes`.
  package static func hashes(in path: String) throws(FileError) -> [String] {
    let files = FileSystem.isFolder(path) ? all(in: path) : [path]
    var hashes: [String] = []
    for file in files { hashes.append(try hash(file)) }
    return hashes
  }
}

extension DataSection {
  /// Makes sure that folders of tokens were made by the tokenizer that the run goes by: the one that the section names, else that of
  /// the model, if it has one.
  ///
  /// - Parameters:
  ///   - model: Folder of the model that is trained or evaluated, or nil.
  ///   - others: Files or folders that are read too.
  /// - Throws: `CorpusError.foreignTokens` for one that was made by another.
  package func checkTokenizer(model: String?, others: [String] = []) throws(CorpusError) {
    let folders = (path.map(\.path) + others).filter(FileSystem.isFolder)
    guard !folders.isEmpty, let given = tokenizer ?? model else { return }
    let hashes: [String]
    do throws(FileError) { hashes = try TokenizerFile.hashes(in: given) } catch {
      throw .file(error)
    }
    guard !hashes.isEmpty else { return }
    for folder in folders {
      let prepared = try PreparedFolder(folder: folder)
      guard hashes.contains(prepared.tokenizerHash) else {
        throw .foreignTokens(path: folder, tokenizer: prepared.tokenizer, other: given)
      }
    }
  }
}
