import Files

/// A tokenizer with what the files beside it say of its use: which tokens end a text, how a dialogue is written.
package struct ModelTokenizer: Sendable {
  /// The folder or file that it was read from.
  package let path: String
  /// The tokenizer.
  package let tokenizer: any Tokenizer
  /// Tokens that end a text.
  package let endTokens: Set<Int32>
  /// The one that stands after a document of several; nil where nothing says it.
  package let separator: Int32?
  /// How the token is written that begins a text; empty where there is none.
  package let beginName: String
  /// How a dialogue is written, in the language of templates; nil where nothing says it.
  package let chatTemplate: String?

  /// Reads a tokenizer and the files beside it.
  ///
  /// - Parameter path: A folder, its `tokenizer.json`, or a SentencePiece `.model`.
  /// - Throws: `TokenizerError` that names what is missing, damaged or not known.
  package init(path: String) throws(TokenizerError) {
    self.path = path
    let folder = FileSystem.isFolder(path) ? path : FileSystem.folder(of: path)
    var tokenizer = try TokenizerFile.read(path)
    let settings = try Self.readJSON("\(folder)/tokenizer_config.json")
    let special = try Self.readJSON("\(folder)/special_tokens_map.json")
    beginName = Self.name("bos_token", in: settings, special) ?? ""
    if var pieces = tokenizer as? SentencePieceTokenizer {
      // SentencePiece puts nothing around a text; the classes that use it do.
      let isLlama = settings?["tokenizer_class"]?.string?.hasPrefix("Llama") == true
      let begin = pieces.token(of: beginName.isEmpty ? "<s>" : beginName)
      if settings?["add_bos_token"]?.bool ?? isLlama, let begin { pieces.opening = [begin] }
      tokenizer = pieces
    }
    var ends: [Int32] = []
    for file in ["generation_config.json", "config.json"] {
      let value = try Self.readJSON("\(folder)/\(file)")?["eos_token_id"]
      ends += (value?.array ?? value.map { [$0] } ?? []).compactMap {
        $0.integer.flatMap(Int32.init(exactly:)).flatMap { $0 >= 0 ? $0 : nil }
      }
    }
    // A model may stop at several tokens, such as at a turn's end; the tokenizer's own ends a text.
    let end = Self.name("eos_token", in: settings, special).flatMap(tokenizer.token(of:))
    separator = end ?? ends.first { $0 < tokenizer.vocabulary }
    endTokens = Set(ends + (end.map { [$0] } ?? []))
    chatTemplate = try Self.readTemplate(settings, folder)
    self.tokenizer = tokenizer
  }

  /// The tokenizer of a model's folder; nil where it has none, as for a model of bytes.
  package init?(model folder: String) throws(TokenizerError) {
    guard TokenizerFile.find(in: folder) != nil else { return nil }
    try self.init(path: folder)
  }

  /// Makes sure that a model knows all tokens.
  ///
  /// - Throws: `TokenizerError.misfit` where it does not.
  package func check(vocabulary: Int) throws(TokenizerError) {
    guard tokenizer.vocabulary <= vocabulary else {
      throw .misfit(path: path, tokens: tokenizer.vocabulary, vocabulary: vocabulary)
    }
  }

  private static func readJSON(_ path: String) throws(TokenizerError) -> TokenizerJSON? {
    guard FileSystem.exists(path) else { return nil }
    guard let json = TokenizerJSON(try TokenizerFile.content(of: path)) else {
      throw .damaged(path: path, reason: "it is not JSON")
    }
    return json
  }

  /// How a special token is written, which stands as a text or with its properties.
  private static func name(_ key: String, in files: TokenizerJSON?...) -> String? {
    files.lazy.compactMap { $0?[key] }.compactMap { $0.string ?? $0["content"]?.string }.first
  }

  private static func readTemplate(
    _ settings: TokenizerJSON?, _ folder: String
  ) throws(TokenizerError) -> String? {
    let path = "\(folder)/chat_template.jinja"
    if FileSystem.exists(path) {
      return String(decoding: try TokenizerFile.content(of: path), as: UTF8.self)
    }
    guard let template = settings?["chat_template"] else {
      return try readJSON("\(folder)/chat_template.json")?["chat_template"]?.string
    }
    // Some have several, by name.
    let named = template.array?.first { $0["name"]?.string == "default" }
    return template.string ?? named?["template"]?.string
  }
}
