import ArgumentParser
import Faults
import Foundation
import Tokenizers

/// `lasp-train tokenize`.
struct TokenizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenize",
    abstract: "Print the tokens of a text, or the text of tokens.",
    usage: """
      lasp-train tokenize <tokenizer> [--whole] < <text>
      lasp-train tokenize <tokenizer> --decode < <tokens>
      """,
    discussion: "Reads standard input. Docs/Tokenizers.md tells what tokenizers are read.")

  @Argument(
    help: "Folder of a model, its tokenizer.json, or a SentencePiece .model file.",
    completion: .file())
  var tokenizer: String

  @Flag(help: "Add the tokens that the tokenizer puts around every text.")
  var whole = false

  @Flag(help: "Read the numbers of tokens and print their text.")
  var decode = false

  func validate() throws {
    if decode, whole { throw ValidationError("--whole adds tokens to a text; leave out --decode.") }
  }

  func run() throws {
    let tokenizer = try TokenizerFile.read(tokenizer)
    let input = FileHandle.standardInput.readDataToEndOfFile()
    guard decode else {
      let tokens = tokenizer.encode([UInt8](input))
      let around = whole ? (tokenizer.opening, tokenizer.closing) : ([], [])
      return print((around.0 + tokens + around.1).map(String.init).joined(separator: " "))
    }
    let tokens = try String(decoding: input, as: UTF8.self).split(whereSeparator: \.isWhitespace)
      .map { word in
        guard let token = Int32(word), token >= 0 else {
          throw ValidationError("\(word) is no token; --decode reads numbers with spaces between.")
        }
        return token
      }
    try StandardStreams.write(tokenizer.decode(tokens))
  }
}
