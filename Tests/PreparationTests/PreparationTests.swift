import Corpora
import Files
import Foundation
import Preparation
import Reporting
import TemporaryFolders
import Testing
import Tokenizers

@Suite("Text that becomes tokens")
struct PreparationTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// What a folder holds: each document's tokens, and which of them are predicted.
  private struct Content: Equatable {
    var documents: [String]
    var predicted: [String]
  }

  private func options(
    _ inputs: [String], to output: String, workers: Int = 1, mask: String? = nil, end: Int32? = nil,
    replaces: Bool = false
  ) -> PreparationOptions {
    PreparationOptions(
      inputs: inputs, output: folder.file(output), tokenizer: ByteTokenizer(),
      tokenizerPath: "bytes", tokenizerHash: "bytes", end: end, maskField: mask, workers: workers,
      replaces: replaces)
  }

  @discardableResult
  private func prepare(
    _ options: PreparationOptions, lineBytes: Int = Preparation.lineBytes
  ) throws -> PreparedFolder {
    try Preparation(options, output: TerminalOutput { _ in }, lineBytes: lineBytes).run()
  }

  /// Reads a folder as training does.
  private func content(_ name: String) throws -> Content {
    let path = folder.file(name)
    let file = try TokenFile(data: path)
    let starts = try folder.read("\(name)/documents.bin")
    let offsets = starts.withUnsafeBytes { bytes in
      (0..<bytes.count / 8).map {
        Int(bytes.loadUnaligned(fromByteOffset: 8 * $0, as: UInt64.self))
      }
    }
    var tokens = [Int32](repeating: 0, count: file.count)
    try file.read(0..<file.count, into: &tokens)
    let mask =
      FileSystem.exists(path + "/mask.bin")
      ? Array(try folder.read("\(name)/mask.bin")) : tokens.map { _ in 1 }
    let ends = offsets.dropFirst() + [file.count]
    func text(_ range: Range<Int>, where isWanted: (Int) -> Bool = { _ in true }) -> String {
      String(decoding: range.filter(isWanted).map { UInt8(tokens[$0]) }, as: UTF8.self)
    }
    let ranges = zip(offsets, ends).map { $0..<$1 }
    return Content(
      documents: ranges.map { text($0) },
      predicted: ranges.map { text($0) { mask[$0] == 1 } })
  }

  @Test("Text, JSONL, gzip of several members and zstd give the same documents")
  func formats() throws {
    let lines = #"{"text": "one"}"# + "\n" + #"{"text": "two é"}"# + "\n"
    func bytes(_ hex: String) -> Data {
      let digits = Array(hex)
      return Data(
        stride(from: 0, to: digits.count, by: 2).map {
          UInt8(String(digits[$0..<$0 + 2]), radix: 16)!
        })
    }
    try folder.write("plain.jsonl", lines)
    try folder.write(
      "packed.jsonl.gz",
      bytes(
        "1f8b0800000000000203ab562a49ad2851b25250cacf4b55aae5aa0600df8bd0261100"
          + "00001f8b0800000000000203532a49ad2851b252502a29cf5738bc52a9960b008278e01f12000000"))
    try folder.write(
      "packed.jsonl.zst",
      bytes(
        "28b52ffd2423fd0000c87b2274657874223a20226f6e65227d0a74776f20c3a9227d0a0100669b4bb5a98f9c"))
    try folder.write("texts/a.txt", "one")
    try folder.write("texts/b.txt", "two é")
    try folder.write("texts/.hidden", "no")
    for (index, name) in [
      "plain.jsonl", "packed.jsonl.gz", "packed.jsonl.zst", "texts", "texts/*.txt",
    ].enumerated() {
      let prepared = try prepare(options([folder.file(name)], to: "out\(index)"))
      #expect(try content("out\(index)").documents == ["one", "two é"], "\(name)")
      #expect(prepared.documents == 2 && prepared.tokens == 9 && prepared.vocabulary == 256)
      #expect(prepared.tokenBytes == 1 && prepared.masked == nil)
      #expect(try PreparedFolder(folder: folder.file("out\(index)")) == prepared)
    }
  }

  @Test("Any number of workers, and any size of the parts, gives the same files")
  func workers() throws {
    var draws = SystemRandomNumberGenerator()
    let lines = (0..<60).map { index in
      let text = String(repeating: "x\(index) ", count: Int.random(in: 0...40, using: &draws))
      return #"{"text": "\#(text)", "prompt": "p\#(index)"}"#
    }
    // Without a line break at its end, and with empty lines in it.
    try folder.write("lines.jsonl", lines.joined(separator: "\n\n"))
    try folder.write("other.jsonl", #"{"prompt": "a", "text": "b"}"#)
    let inputs = ["lines.jsonl", "other.jsonl"].map(folder.file)
    try prepare(options(inputs, to: "whole", mask: "prompt", end: 10))
    for (index, size) in [60, 400, 3000, 100_000].enumerated() {
      let name = "parts\(index)"
      try prepare(options(inputs, to: name, workers: 3, mask: "prompt", end: 10), lineBytes: size)
      for file in ["tokens.bin", "documents.bin", "mask.bin", "meta.json"] {
        #expect(
          try folder.read("\(name)/\(file)") == folder.read("whole/\(file)"), "\(file), \(size)")
      }
    }
    let documents = try content("whole")
    #expect(documents.documents.count == 61 && documents.documents.last == "ab\n")
    #expect(documents.predicted.last == "b\n")
  }

  @Test("What is stopped in the middle goes on with the parts that are left, to the same files")
  func resumes() throws {
    try folder.write("a.jsonl", #"{"text": "one"}"#)
    try folder.write("b.jsonl", #"{"text": 2}"#)
    let inputs = ["a.jsonl", "b.jsonl"].map(folder.file)
    #expect(throws: PreparationError.self) { try prepare(options(inputs, to: "out")) }
    let part = folder.file("out/.parts/000000.tokens")
    #expect(FileSystem.exists(part) && !FileSystem.exists(folder.file("out/meta.json")))
    // The first part is not made again.
    let before = try FileManager.default.attributesOfItem(atPath: part)[.modificationDate] as? Date
    try folder.write("b.jsonl", #"{"text":"2"}"#.padding(toLength: 11, withPad: " ", startingAt: 0))
    #expect(throws: PreparationError.self) { try prepare(options(inputs, to: "out")) }
    try folder.write("b.jsonl", #"{"text": 3}"#)
    #expect(throws: PreparationError.self) { try prepare(options(inputs, to: "out")) }
    #expect(
      try FileManager.default.attributesOfItem(atPath: part)[.modificationDate] as? Date == before)
    try folder.write("b.jsonl", #"{"text":""}"#)
    let prepared = try prepare(options(inputs, to: "out"))
    // A document without a token is none.
    #expect(prepared.documents == 1 && !FileSystem.exists(folder.file("out/.parts")))
    // A complete folder is left as it is.
    #expect(try prepare(options(inputs, to: "out")) == prepared)
  }

  @Test("Other files or options than an earlier start's are refused, unless it is replaced")
  func taken() throws {
    try folder.write("a.txt", "one")
    try folder.write("b.txt", "two")
    try prepare(options([folder.file("a.txt")], to: "out"))
    #expect(throws: PreparationError.self) {
      try prepare(options([folder.file("b.txt")], to: "out"))
    }
    try prepare(options([folder.file("b.txt")], to: "out", replaces: true))
    #expect(try content("out").documents == ["two"])
    try folder.write("mine/notes", "keep")
    for replaces in [false, true] {
      #expect(throws: PreparationError.self) {
        try prepare(options([folder.file("a.txt")], to: "mine", replaces: replaces))
      }
    }
    #expect(try folder.read("mine/notes") == Data("keep".utf8))
  }

  @Test(
    "A document ends with the token that the files beside the tokenizer say, unless another is given"
  )
  func ends() throws {
    let fixture = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "TokenizersTests/Fixtures/gpt2.json")
    try folder.write("model/tokenizer.json", Data(contentsOf: fixture))
    let plain = try PreparationTokenizer(folder.file("model"))
    // How a token is written goes before its number.
    #expect(try plain.end("7") == plain.tokenizer.token(of: "7") && plain.end("599") == 599)
    #expect(try plain.end(nil) == nil)
    let end = try #require(plain.tokenizer.token(of: "<|endoftext|>"))
    try folder.write("model/tokenizer_config.json", #"{"eos_token": "<|endoftext|>"}"#)
    try folder.write("model/generation_config.json", #"{"eos_token_id": [3, 4]}"#)
    let said = try PreparationTokenizer(folder.file("model"))
    #expect(try said.end(nil) == end && said.end("599") == 599 && said.hash == plain.hash)
    #expect(throws: PreparationError.self) { try said.end("<|no such token|>") }
    #expect(try PreparationTokenizer("bytes").end(nil) == nil)
  }

  @Test("A text is cut at line breaks, which does not show where tokens are bytes")
  func pieces() throws {
    let line = String(repeating: "é", count: 1000) + "\n"
    let text = String(repeating: line, count: 10_000)
    try folder.write("long.txt", text)
    try prepare(options([folder.file("long.txt")], to: "out"))
    #expect(try content("out").documents == [text])
  }

  @Test("What is wrong is said in a sentence that names the file and the line")
  func errors() throws {
    func message(_ inputs: [String], mask: String? = nil) -> String {
      do {
        try prepare(options(inputs.map(folder.file), to: UUID().uuidString, mask: mask))
        return ""
      } catch {
        return "\(error)"
      }
    }
    try folder.write("bad.jsonl", #"{"text": "a"}"# + "\n\n" + "{oops\n")
    #expect(message(["bad.jsonl"]).contains("bad.jsonl:3: this line is no JSON object"))
    try folder.write("field.jsonl", #"{"body": "a", "n": 1}"#)
    #expect(
      message(["field.jsonl"]).contains(
        "field.jsonl:1: there is no text in the field text: it has body"))
    #expect(message(["nothing.txt"]).contains("there is no file at"))
    try folder.write("empty.txt", "")
    #expect(message(["empty.txt"]).contains("hold no text"))
    try folder.write("array.json", "[1]")
    #expect(message(["array.json"]).contains("one JSON array"))
    try folder.write("table.parquet", Data("PAR1....PAR1".utf8))
    #expect(message(["table.parquet"]).contains("a Parquet file"))
    try folder.write("zeros.txt", Data([65, 0, 66]))
    #expect(message(["zeros.txt"]).contains("zero bytes"))
    try folder.write("text.txt", "a")
    #expect(message(["text.txt"], mask: "prompt").contains("no fields"))
    try folder.write("short.txt.gz", Data([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 2, 3, 0xAB]))
    #expect(message(["short.txt.gz"]).contains("ends within its gzip data"))
    try folder.write(
      "damaged.txt.gz",
      Data([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 2, 3] + [UInt8](repeating: 0xFF, count: 40)))
    #expect(message(["damaged.txt.gz"]).contains("is damaged"))
  }
}
