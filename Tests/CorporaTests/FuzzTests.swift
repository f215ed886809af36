import Configuration
import Files
import Foundation
import Mutations
import TemporaryFolders
import Testing
import Tokenizers

@testable import Corpora

/// Bytes of little-endian integers.
private func bytes<Number: FixedWidthInteger>(_ numbers: [Int], as _: Number.Type) -> [UInt8] {
  numbers.flatMap { withUnsafeBytes(of: Number(truncatingIfNeeded: $0).littleEndian, Array.init) }
}

@Suite("Damaged files: tokens and what lies beside them")
struct CorpusFuzzTests {
  private let files: TemporaryFolder
  private static let tokens = (0..<200).map { $0 * 7 % 90 }

  init() throws { files = try TemporaryFolder() }

  /// Reads all that training and evaluation read of a section's files, with a vocabulary of 100, and with the files' own.
  private func readAll(_ section: DataSection, tokenizer: (any Tokenizer)? = nil) throws {
    for vocabulary in [100, 0] {
      let needed = try section.vocabularyOfFiles(part: 0, of: 1, tokenizer: tokenizer)
      #expect(needed >= 0 && needed <= 1 << 24)
      let corpus = try section.makeCorpus(
        length: 8, batch: 2, seed: 1, vocabulary: vocabulary, tokenizer: tokenizer)
      for (part, steps) in [(corpus as any Corpus, 12), (corpus.heldOut ?? corpus, 3)] {
        for step in 0..<steps {
          let batch = try part.whole(step)
          let limit = Int32(clamping: part.vocabulary)
          #expect(batch.inputs.allSatisfy { $0 >= 0 && $0 < limit })
          #expect(batch.targets.allSatisfy { $0 >= -1 && $0 < limit })
          #expect(batch.documentStarts.allSatisfy { $0.allSatisfy((0..<8).contains) })
        }
      }
    }
  }

  private func section(_ path: String) -> DataSection {
    var section = DataSection()
    section.path = [WeightedPath(path: files.file(path))]
    section.heldOut = 0.2
    return section
  }

  @Test("Token files as they stand, and those with llm.c's header, are read or refused")
  func tokenFiles() throws {
    func llmc(_ magic: Int, _ version: Int, _ rest: [UInt8]) -> [UInt8] {
      bytes([magic, version, Self.tokens.count] + [Int](repeating: 0, count: 253), as: Int32.self)
        + rest
    }
    let narrow = bytes(Self.tokens, as: UInt16.self)
    let wide = bytes(Self.tokens, as: UInt32.self)
    let numpy = [0x93] + Array("NUMPY\u{1}\0v\0{'descr': '<u2', 'shape': (200,), }\n".utf8) + narrow
    let originals = [
      narrow, wide, llmc(20_240_520, 1, narrow), llmc(20_240_801, 7, wide), numpy,
      bytes(Self.tokens, as: UInt8.self),
    ]
    let failures = Fuzzing("token file", .bytes, originals, cases: 3000).run {
      try files.write("t.bin", Data($0))
      try readAll(section("t.bin"))
    }
    #expect(failures == [])
  }

  @Test("Megatron's index is read or refused, and the tokens that it does not fit")
  func megatron() throws {
    let (lengths, bounds) = ([100, 60, 40], [0, 1, 1, 3])
    let index =
      Array("MMIDIDX".utf8) + [0, 0] + bytes([1], as: UInt64.self) + [8]
      + bytes([lengths.count, bounds.count], as: UInt64.self) + bytes(lengths, as: Int32.self)
      + bytes([0, 200, 320], as: Int64.self) + bytes(bounds, as: Int64.self)
    let narrow = bytes(Self.tokens, as: UInt16.self)
    for (name, original) in [("m.idx", index), ("m.bin", narrow)] {
      try files.write("m.bin", Data(narrow))
      try files.write("m.idx", Data(index))
      try readAll(section("m.bin"))
      let failures = Fuzzing(name, .bytes, [original]).run {
        try files.write(name, Data($0))
        try readAll(section("m.bin"))
      }
      #expect(failures == [])
    }
  }

  @Test("Offsets of documents, loss masks and labels are read or refused")
  func companions() throws {
    try files.write("t.bin", Data(bytes(Self.tokens, as: UInt16.self)))
    let offsets = bytes([0, 7, 8, 90, 160], as: UInt64.self)
    let mask = Self.tokens.map { UInt8($0 % 2) }
    let labels = bytes(Self.tokens.map { $0 % 3 == 0 ? 65535 : $0 }, as: UInt16.self)
    for (name, original) in [("documents", offsets), ("mask", mask), ("labels.bin", labels)] {
      var section = section("t.bin")
      if name == "documents" { section.documents = [files.file(name)] }
      if name == "mask" { section.lossMask = [files.file(name)] }
      if name == "labels.bin" { section.labels = [files.file(name)] }
      let failures = Fuzzing(name, .bytes, [original]).run {
        try files.write(name, Data($0))
        try readAll(section)
      }
      #expect(failures == [])
    }
  }

  @Test("A prepared folder is read or refused, whichever of its files is damaged")
  func prepared() throws {
    let meta = PreparedFolder(
      vocabulary: 100, tokenBytes: 2, tokens: 200, documents: 5, masked: 100, tokenizer: "bytes",
      tokenizerHash: "bytes", sources: [.init(path: "a", bytes: 1, documents: 5, tokens: 200)])
    let parts: [(String, FileForm, [UInt8])] = [
      ("meta.json", .text, Array(meta.encoded)),
      ("tokens.bin", .bytes, bytes(Self.tokens, as: UInt16.self)),
      ("documents.bin", .bytes, bytes([0, 7, 8, 90, 160], as: UInt64.self)),
      ("mask.bin", .bytes, Self.tokens.map { UInt8($0 % 2) }),
    ]
    for (name, form, original) in parts {
      for (other, _, content) in parts { try files.write("p/\(other)", Data(content)) }
      try readAll(section("p"))
      let failures = Fuzzing("prepared \(name)", form, [original]).run {
        try files.write("p/\(name)", Data($0))
        try readAll(section("p"))
      }
      #expect(failures == [])
    }
  }
}
