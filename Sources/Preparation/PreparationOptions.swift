import Configuration
import Tokenizers

/// What `lasp-train prepare` is asked for.
package struct PreparationOptions: Sendable {
  /// Files, folders and patterns.
  package var inputs: [String]
  /// The folder to write.
  package var output: String
  package var tokenizer: any Tokenizer
  /// Where the tokenizer lies, and the hash of its file.
  package var tokenizerPath, tokenizerHash: String
  /// The token that ends every document; nil for what the tokenizer itself puts there.
  package var end: Int32?
  /// The field of a JSONL line that is the document, and the field before it that is only read.
  package var field: String
  package var maskField: String?
  /// Threads.
  package var workers: Int
  /// Whether what lies in `output` is replaced.
  package var replaces: Bool

  package init(
    inputs: [String], output: String, tokenizer: any Tokenizer, tokenizerPath: String,
    tokenizerHash: String, end: Int32? = nil, field: String = "text", maskField: String? = nil,
    workers: Int = 1, replaces: Bool = false
  ) {
    (self.inputs, self.output, self.tokenizer) = (inputs, output, tokenizer)
    (self.tokenizerPath, self.tokenizerHash, self.end) = (tokenizerPath, tokenizerHash, end)
    (self.field, self.maskField) = (field, maskField)
    (self.workers, self.replaces) = (workers, replaces)
  }

  /// What decides the result, but for the files.
  var fingerprint: [String: JSONValue] {
    [
      "tokenizer": .string(tokenizerHash), "end": end.map { .integer(Int($0)) } ?? .null,
      "field": .string(field), "mask_field": maskField.map { .string($0) } ?? .null,
    ]
  }
}
