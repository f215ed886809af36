import Configuration
import Foundation
import Glibc
import Testing

@testable import Corpora

/// Bytes of little-endian integers.
private func bytes<Number: FixedWidthInteger>(_ numbers: [Int], as _: Number.Type) -> [UInt8] {
  numbers.flatMap { number in
    withUnsafeBytes(of: Number(truncatingIfNeeded: number).littleEndian, Array.init)
  }
}

private func tokens(_ file: TokenFile) throws -> [Int32] {
  var tokens = [Int32](repeating: 0, count: file.count)
  try file.read(0..<file.count, into: &tokens)
  return tokens
}

@Suite("Token files of other programs")
struct FileFormatTests {
  private let folder: DataFolder

  init() throws { folder = try DataFolder() }

  private func problem(_ path: String, tokenBytes: Int = 0) -> String {
    do {
      _ = try TokenFile(path: path, tokenBytes: tokenBytes)
      return ""
    } catch {
      return "\(error)"
    }
  }

  private func llmc(magic: Int, version: Int, count: Int, _ rest: [UInt8]) -> [UInt8] {
    bytes([magic, version, count] + [Int](repeating: 0, count: 253), as: Int32.self) + rest
  }

  @Test(
    "llm.c's header tells width and number, whatever the name ends with",
    arguments: [(20_240_520, 1, 2), (20_240_801, 7, 4)], ["t.bin", "t.dat"])
  func llmcFiles(kind: (magic: Int, version: Int, width: Int), name: String) throws {
    let numbers = [0, 50256, 7, 65535]
    let rest =
      kind.width == 2 ? bytes(numbers, as: UInt16.self) : bytes(numbers, as: UInt32.self)
    let path = try folder.write(
      name, llmc(magic: kind.magic, version: kind.version, count: 4, rest))
    let file = try TokenFile(path: path)
    #expect(file.tokenBytes == kind.width)
    #expect(try tokens(file) == numbers.map(Int32.init))
    #expect(file.documents == nil)
    #expect(try tokens(TokenFile(path: path, tokenBytes: kind.width)) == numbers.map(Int32.init))
    #expect(
      problem(path, tokenBytes: 6 - kind.width)
        == "\(path) says itself that its tokens have \(kind.width) bytes, but data.token_bytes is "
        + "\(6 - kind.width); remove data.token_bytes")
  }

  @Test("llm.c's header of another version, or of another number of tokens, is refused")
  func llmcProblems() throws {
    let rest = bytes([1, 2, 3], as: UInt16.self)
    let other = try folder.write("a.bin", llmc(magic: 20_240_520, version: 2, count: 3, rest))
    #expect(problem(other).contains("version 2, and only 1 is known"))
    let short = try folder.write("b.bin", llmc(magic: 20_240_520, version: 1, count: 4, rest))
    #expect(
      problem(short).contains("its header says 4 tokens of 2 bytes, but after it there are 6"))
    let none = try folder.write("c.bin", llmc(magic: 20_240_520, version: 1, count: 0, []))
    #expect(problem(none).contains("is empty"))
  }

  /// Megatron's index of sequences that follow each other.
  private func index(
    lengths: [Int], bounds: [Int], width: Int, code: UInt8, version: Int = 1, gap: Int = 0
  ) -> [UInt8] {
    var firsts: [Int] = []
    var end = 0
    for length in lengths {
      firsts.append(end)
      end += length * width + gap
    }
    return Array("MMIDIDX".utf8) + [0, 0] + bytes([version], as: UInt64.self) + [code]
      + bytes([lengths.count, bounds.count], as: UInt64.self) + bytes(lengths, as: Int32.self)
      + bytes(firsts, as: Int64.self) + bytes(bounds, as: Int64.self)
  }

  @Test(
    "Megatron's index tells width and documents, whichever of the two files is named",
    arguments: [(UInt8(8), 2), (4, 4), (1, 1), (3, 2)], ["t.bin", "t.idx"])
  func megatron(kind: (code: UInt8, width: Int), name: String) throws {
    let numbers = Array(10..<19)
    let data =
      switch kind.width {
      case 1: bytes(numbers, as: UInt8.self)
      case 2: bytes(numbers, as: UInt16.self)
      default: bytes(numbers, as: Int32.self)
      }
    _ = try folder.write("t.bin", data)
    // Documents of two sequences, of none, and of one.
    _ = try folder.write(
      "t.idx",
      index(lengths: [2, 3, 4], bounds: [0, 2, 2, 3], width: kind.width, code: kind.code))
    let file = try TokenFile(path: "\(folder.path)/\(name)")
    #expect(file.tokenBytes == kind.width)
    #expect(try tokens(file) == numbers.map(Int32.init))
    #expect(try file.documentStarts(in: 0..<9) == [0, 5])
    #expect(try file.documentStarts(in: 1..<5) == [])
    #expect(try file.documentStarts(in: 5..<6) == [5])
  }

  @Test("Documents of Megatron's index are used unless the run file says where documents begin")
  func megatronDocuments() throws {
    let path = try folder.write("t.bin", bytes([1, 9, 2, 3, 4, 5], as: UInt16.self))
    _ = try folder.write("t.idx", index(lengths: [4, 2], bounds: [0, 1, 2], width: 2, code: 8))
    var section = DataSection()
    section.path = [WeightedPath(path: path)]
    #expect(try section.openFiles()[0].file.documentStarts(in: 0..<6) == [0, 4])
    section.documents = ["9"]
    #expect(try section.openFiles()[0].file.documentStarts(in: 0..<6) == [0, 2])
  }

  @Test("An index of Megatron's that is damaged, or does not fit, is refused")
  func megatronProblems() throws {
    let path = try folder.write("t.bin", bytes(Array(0..<6), as: UInt16.self))
    func said(_ index: [UInt8]) throws -> String {
      _ = try folder.write("t.idx", index)
      return problem(path)
    }
    let good = index(lengths: [4, 2], bounds: [0, 1, 2], width: 2, code: 8)
    #expect(try said(good) == "")
    #expect(try said(Array(good.dropLast())).contains("take 82 bytes, and it has 81"))
    #expect(try said(Array(good.prefix(20))).contains("it ends within its header"))
    #expect(
      try said(index(lengths: [4, 3], bounds: [0, 1, 2], width: 2, code: 8))
        .contains("its sequences take 14 bytes, but \(path) has 12"))
    #expect(
      try said(index(lengths: [4, 2], bounds: [0, 1, 2], width: 2, code: 8, gap: 2))
        .contains("begins at byte 10, not at 8"))
    #expect(
      try said(index(lengths: [4, 2], bounds: [0, 1, 1], width: 2, code: 8))
        .contains("its documents end at sequence 1 of 2"))
    #expect(
      try said(index(lengths: [4, 2], bounds: [0, 3, 2], width: 2, code: 8))
        .contains("bound 1 of documents is 3"))
    #expect(
      try said(index(lengths: [4, 2], bounds: [0, 1, 2], width: 2, code: 5))
        .contains("its tokens are of kind 5"))
    #expect(
      try said(index(lengths: [4, 2], bounds: [0, 1, 2], width: 2, code: 8, version: 2))
        .contains("it has version 2"))
    // An index of another program is none.
    #expect(try said(Array("something else".utf8)) == "")
  }

  private static let gzip: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3] + [UInt8](0..<10)

  @Test(
    "What is neither text nor tokens is refused with the command that converts it",
    arguments: [
      ("t.parquet", Array("PAR1........PAR1".utf8), "is a Parquet file", "read_parquet"),
      ("t.bin", [0x93] + Array("NUMPY".utf8) + [1, 0], "is a NumPy array", "numpy.load"),
      ("t.bin", gzip, "is compressed by gzip", "lasp-train prepare --tokenizer PATH --output DIR"),
      ("t.txt", [0x28, 0xB5, 0x2F, 0xFD, 1], "is compressed by zstd", "lasp-train prepare"),
      ("t.pt", Array("PK".utf8) + [3, 4, 0, 0], "is a ZIP archive", "from Python"),
      ("t.bin", [0x80, 2, 0x7D, 0x71, 0, 0x2E], "is a Python pickle", "from Python"),
      (
        "t.txt", Array("{\"text\": \"a\"}\n{\"text\": \"b\"}\n".utf8), "is JSON",
        "lasp-train prepare"
      ),
      ("t.jsonl", Array("{\"text\": \"cut".utf8), "is JSON", "lasp-train prepare"),
    ] as [(String, [UInt8], String, String)])
  func foreign(name: String, content: [UInt8], said: String, command: String) throws {
    let path = try folder.write(name, content)
    #expect(problem(path).contains("\(path) \(said)"))
    #expect(problem(path).contains(command))
  }

  @Test("JSON is read as text where that is asked for; text and tokens that begin alike are read")
  func lookalikes() throws {
    let json = try folder.write("t.jsonl", Array("{\"a\": 1}\n".utf8))
    #expect(problem(json, tokenBytes: 1) == "")
    for text in ["{ some { text\n", "PARSE", "PK and more", "BZh for ever"] {
      #expect(problem(try folder.write("t.txt", Array(text.utf8))) == "")
    }
    // The token 35615 first, as in a file that gzip wrote.
    #expect(problem(try folder.write("t.bin", [0x1F, 0x8B, 9, 0, 1, 0])) == "")
  }

  @Test("A vocabulary beyond 16 bits is not read from tokens of two bytes")
  func narrow() throws {
    let file = try folder.counting(40)
    var section = DataSection()
    section.path = [WeightedPath(path: file.path)]
    func make(model: Int) throws {
      _ = try section.makeCorpus(
        length: 4, batch: 1, seed: 1, vocabulary: model)
    }
    try make(model: 65536)
    let error = #expect(throws: CorpusError.self) { try make(model: 151_936) }
    #expect(
      "\(error as Any)".contains("cannot hold a vocabulary of 151936; set data.token_bytes=4"))
    section.vocabulary = 50257
    try make(model: 151_936)
    section.vocabulary = 70000
    #expect(throws: CorpusError.self) { try make(model: 0) }
  }

  @Test("Tokens of four bytes are not read as two, nor two as four, where nothing says so")
  func wide() throws {
    // As Qwen's: up to 150,000.
    let numbers = (0..<200).map { $0 * 7919 % 150_000 }
    let path = try folder.write("t.bin", bytes(numbers, as: UInt32.self))
    #expect(problem(path).contains("looks as if its tokens had 4 bytes"))
    #expect(problem(path).contains("set data.token_bytes=4"))
    #expect(problem(path, tokenBytes: 2) == "")
    #expect(try tokens(TokenFile(path: path, tokenBytes: 4)) == numbers.map(Int32.init))
    // Few different tokens, of which many are next to nothing: DNA, say.
    let few = (0..<200).map { $0 * 7919 % 4 }
    #expect(problem(try folder.write("few.bin", bytes(few, as: UInt16.self))) == "")
    var section = DataSection()
    section.path = [
      WeightedPath(
        path: try folder.write("n.bin", bytes((0..<200).map { $0 * 300 }, as: UInt16.self)))
    ]
    #expect(try section.vocabularyOfFiles(part: 0, of: 1) == 199 * 300 + 1)
    section.tokenBytes = .four
    let error = #expect(throws: CorpusError.self) {
      try section.vocabularyOfFiles(part: 0, of: 1)
    }
    #expect("\(error as Any)".contains("which no vocabulary has"))
  }

  @Test("A pipe is not waited for, nor is a socket or a device opened")
  func notFiles() throws {
    let pipe = "\(folder.path)/pipe.bin"
    try #require(mkfifo(pipe, 0o600) == 0)
    #expect(problem(pipe).hasPrefix("cannot read \(pipe): it is a pipe, "))
    #expect(problem("/dev/zero").hasPrefix("cannot read /dev/zero: it is a device, "))
    let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    // A socket has room for a short path only.
    let path = "/tmp/\(UUID().uuidString).sock"
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    try #require(bound == 0)
    defer { unlink(path) }
    #expect(problem(path).hasPrefix("cannot read \(path): it is a socket, "))
  }

  @Test("How much there is to train on is told: tokens, their width, what is held out")
  func extent() throws {
    var section = DataSection()
    section.path = [WeightedPath(path: try folder.counting(40).path)]
    section.heldOut = 0.25
    let corpus = try section.makeCorpus(length: 4, batch: 1, seed: 1)
    #expect(corpus.extent == CorpusExtent(tokens: 30, tokenBytes: 2, heldOut: 10))
    section.path = []
    #expect(try section.makeCorpus(length: 64, batch: 1, seed: 1).extent == nil)
  }
}
