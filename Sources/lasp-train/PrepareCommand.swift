import ArgumentParser
import Files
import Foundation
import Preparation
import Reporting
import Training

/// `lasp-train prepare`.
struct PrepareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prepare",
    abstract: "Make tokens of text, in a folder that data.path reads.",
    usage: """
      lasp-train prepare --tokenizer <path> --output <folder> [--field <name>] [--mask-field <name>] \
      [--end <token>] [--workers <n>] [--overwrite] <files> ...
      """,
    discussion: """
      Files are text, each one document, or JSONL (.jsonl, .ndjson), each line one; packed by gzip or zstd or not; \
      folders are read with all that lies in them, and patterns may be quoted. The folder gets tokens.bin in the \
      narrowest width, documents.bin with their starts, with --mask-field mask.bin, in which prompts are left out of \
      the loss, and meta.json. It does not depend on the number of workers; stopped and started again, it goes on.
      """)

  @Option(
    help: ArgumentHelp(
      "Folder of a model, its tokenizer.json, or a SentencePiece .model file; or bytes.",
      valueName: "path"), completion: .file())
  var tokenizer: String

  @Option(help: ArgumentHelp("Folder to write.", valueName: "folder"), completion: .directory)
  var output: String

  @Option(help: ArgumentHelp("Field of a JSONL line that is the document.", valueName: "name"))
  var field = "text"

  @Option(
    help: ArgumentHelp(
      "Field that stands before it and is only read: a prompt, without a loss.", valueName: "name"))
  var maskField: String?

  @Option(
    help: ArgumentHelp(
      "Token that ends every document, as it is written or its number (default: what the files beside the tokenizer say).",
      valueName: "token"))
  var end: String?

  @Option(help: ArgumentHelp("Threads (default: one a core).", valueName: "n"))
  var workers = ProcessInfo.processInfo.activeProcessorCount

  @Flag(help: "Replace what an earlier preparation left in the folder.")
  var overwrite = false

  @OptionGroup var console: ConsoleOption

  @Argument(help: "Files, folders and patterns.", completion: .file())
  var files: [String]

  func validate() throws {
    if workers < 1 { throw ValidationError("--workers \(workers) is not 1 or more.") }
    if maskField == field {
      throw ValidationError("--mask-field and --field are both \(field); give two fields.")
    }
  }

  func run() throws {
    let source = try PreparationTokenizer(tokenizer)
    let prepared = try Preparation(
      PreparationOptions(
        inputs: files, output: output, tokenizer: source.tokenizer, tokenizerPath: tokenizer,
        tokenizerHash: source.hash, end: try source.end(end), field: field, maskField: maskField,
        workers: workers, replaces: overwrite), output: .standard(console.mode)
    ).run()
    print(
      """
      \(output): \(Format.grouped(prepared.tokens)) tokens of \
      \(Format.number(prepared.tokenBytes, of: "byte")) in \(Format.number(prepared.documents, of: "document")), vocabulary \(Format.grouped(prepared.vocabulary))
      """)
    if let masked = prepared.masked {
      print("without a loss: \(Format.grouped(masked)) tokens of prompts")
    }
  }
}

extension PreparationError: ErrorWithExitReason {
  package var exitReason: ExitReason {
    if fileError?.isExhaustion == true { return .resources }
    return if case .taken = self { .configuration } else { .data }
  }
}
