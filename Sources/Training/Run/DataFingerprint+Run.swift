import Configuration
import Corpora
import Files
import Tokenizers

extension RunConfiguration {
  /// What tells the files that the run reads from others: data, tokenizer and a teacher's weights.
  ///
  /// - Throws: `FileError` for one that is missing or unreadable.
  package func dataFingerprint() throws(FileError) -> DataFingerprint {
    var files = try data.files()
    if let path = evaluation.path {
      files += try DataFingerprint.files(at: path).map { ("evaluation.path", $0) }
    }
    if let tokenizer = data.tokenizer, tokenizer != ByteTokenizer.name {
      let found = FileSystem.isFolder(tokenizer) ? TokenizerFile.all(in: tokenizer) : [tokenizer]
      files += found.map { ("data.tokenizer", $0) }
    }
    if let teacher = teacherPath {
      files += try DataFingerprint.files(at: teacher)
        .filter { $0.hasSuffix(".safetensors") || $0.hasSuffix("config.json") }
        .map { ("distillation.from", $0) }
    }
    return try DataFingerprint(files)
  }
}
