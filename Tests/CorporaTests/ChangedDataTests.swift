import Configuration
import Files
import Foundation
import Glibc
import TemporaryFolders
import Testing

@testable import Corpora

@Suite("Data that changes while it is read")
struct ChangedDataTests {
  private let files: TemporaryFolder

  init() throws { files = try TemporaryFolder() }

  /// Little-endian numbers of two bytes.
  private func narrow(_ numbers: [Int]) -> Data {
    Data(numbers.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] })
  }

  private func wide(_ numbers: [Int]) -> Data {
    numbers.reduce(into: Data()) { data, number in
      withUnsafeBytes(of: UInt64(truncatingIfNeeded: number).littleEndian) { data += $0 }
    }
  }

  /// Overwrites a part of a file in its place, as another program would that has it open.
  private func overwrite(_ name: String, at offset: Int, _ bytes: Data) throws {
    let file = try #require(FileHandle(forWritingAtPath: files.file(name)))
    try file.seek(toOffset: UInt64(offset))
    try file.write(contentsOf: bytes)
    try file.close()
  }

  private func section() throws -> DataSection {
    try files.write("t.bin", narrow((0..<400).map { $0 % 90 }))
    try files.write("d", wide(Array(stride(from: 0, to: 400, by: 10))))
    try files.write("m", Data(repeating: 1, count: 400))
    var section = DataSection()
    section.path = [WeightedPath(path: files.file("t.bin"))]
    (section.documents, section.lossMask) = ([files.file("d")], [files.file("m")])
    section.heldOut = 0
    return section
  }

  /// What reading says after all windows have been read once and a file has been changed.
  private func problem(after change: () throws -> Void) throws -> String {
    let corpus = try section().makeCorpus(length: 40, batch: 9, seed: 1, vocabulary: 90)
    _ = try corpus.whole(0)
    try change()
    do {
      for step in 0..<4 { _ = try corpus.whole(step) }
      return ""
    } catch {
      return "\(error)"
    }
  }

  @Test(
    "A file that was cut off is told with the byte at which it ends",
    arguments: ["t.bin", "d", "m"])
  func shortened(name: String) throws {
    let bytes = try section().path.isEmpty ? 0 : files.read(name).count
    let left = bytes / 2
    #expect(
      try problem { truncate(files.file(name), off_t(left)) }.hasPrefix(
        "cannot read \(files.file(name)): it was changed meanwhile, and ends at byte "))
    #expect(
      try problem { truncate(files.file(name), 0) }.contains(
        " where there were \(bytes) bytes when it was opened; restore it"))
  }

  @Test("A token that is beyond the vocabulary now is told with its place")
  func tokens() throws {
    #expect(
      try problem { try overwrite("t.bin", at: 300, narrow([65535])) }.hasPrefix(
        "\(files.file("t.bin")) has token 65535 at position 150, beyond the vocabulary of 90"))
  }

  @Test("Offsets of documents that are out of order now are told with their place")
  func offsets() throws {
    #expect(
      try problem { try overwrite("d", at: 0, wide((0..<40).map { 400 - 9 * $0 })) }.contains(
        "d was changed while it was read: at byte "))
    // Offsets beyond all tokens only end the search.
    #expect(try problem { try overwrite("d", at: 0, wide(Array(repeating: -1, count: 40))) } == "")
  }

  @Test("A byte of the loss mask that is neither 0 nor 1 now is told")
  func mask() throws {
    #expect(
      try problem { try overwrite("m", at: 77, Data([2])) }
        == "\(files.file("m")) has a byte of 2 at position 77; data.loss_mask needs bytes of 0 (no loss) "
        + "and 1 (loss)")
  }

  @Test("A file that another takes the place of goes on as it was")
  func replaced() throws {
    #expect(
      try problem {
        try files.write("new", Data())
        try FileSystem.rename(files.file("new"), to: files.file("t.bin"))
      } == "")
  }
}
