import Files

/// Megatron's index of a file of tokens: `NAME.idx` beside `NAME.bin`.
///
/// Concretely, little endian: `MMIDIDX\0\0`, version 1 (`uint64`), the kind of tokens (`uint8`), the numbers of
/// sequences and of document bounds (`uint64` each); then each sequence's length (`int32`) and first byte (`int64`), and
/// the bounds, as numbers of sequences, from 0 to all (`int64`).
///
/// - Source: https://github.com/NVIDIA/Megatron-LM, `megatron/core/datasets/indexed_dataset.py`.
struct MegatronIndex: Sendable {
  /// Number of tokens of all sequences, and bytes of each.
  let tokens, tokenBytes: Int
  /// Number of documents.
  let documents: Int
  private let sequences: Int
  private let file: OpenFile

  /// Where the index lies.
  var path: String { file.path }

  private static let magic = Array("MMIDIDX".utf8) + [0, 0]
  private static let headerBytes = 34
  /// Kinds of tokens by their code, with their bytes; the others are numbers that are no tokens, or wider.
  private static let widths: [UInt8: Int] = [1: 1, 3: 2, 4: 4, 8: 2]

  /// The index of a file of tokens; nil where there is none.
  ///
  /// - Throws: `CorpusError` when it is damaged, or does not fit the tokens.
  init?(besides tokens: OpenFile) throws(CorpusError) {
    guard tokens.path.hasSuffix(".bin") else { return nil }
    let path = String(tokens.path.dropLast(4)) + ".idx"
    guard FileSystem.kind(path) == .file else { return nil }
    let file = try dataFiles { () throws(FileError) in try OpenFile(path: path) }
    guard try Self.begins(file) else { return nil }
    try self.init(file, of: tokens)
  }

  /// Whether a file is an index, by how it begins.
  static func begins(_ file: OpenFile) throws(CorpusError) -> Bool {
    try dataFiles { () throws(FileError) in
      try file.read(0..<min(file.count, magic.count)) == magic
    }
  }

  private init(_ file: OpenFile, of data: OpenFile) throws(CorpusError) {
    func damaged(_ reason: String) -> CorpusError { .unreadable(path: file.path, reason: reason) }
    let size = file.count
    guard size >= Self.headerBytes else { throw damaged("it ends within its header") }
    let version: UInt64 = try file.value(at: 9)
    guard version == 1 else { throw damaged("it has version \(version), and only 1 is known") }
    let kind: UInt8 = try file.value(at: 17)
    guard let width = Self.widths[kind] else {
      throw damaged(
        "its tokens are of kind \(kind); those that are read are 1 (uint8), 3 (int16), 4 "
          + "(int32) and 8 (uint16)")
    }
    let (counted, bounds): (UInt64, UInt64) = (try file.value(at: 18), try file.value(at: 26))
    guard counted < UInt64(size), bounds < UInt64(size), bounds > 0 else {
      throw damaged("it cannot hold \(counted) sequences and \(bounds) bounds of documents")
    }
    let (sequences, documents) = (Int(counted), Int(bounds) - 1)
    let needed = Self.headerBytes + 12 * sequences + 8 * (documents + 1)
    // One more byte a sequence says what it is, where a file holds more than text.
    guard size == needed || size == needed + sequences else {
      throw damaged(
        "\(sequences) sequences and \(documents) documents take \(needed) bytes, and it has \(size)"
      )
    }
    (self.file, self.sequences, self.documents, tokenBytes) = (file, sequences, documents, width)
    var lengths = Numbers<Int32>(file, from: Self.headerBytes, count: sequences)
    var firsts = Numbers<Int64>(file, from: Self.headerBytes + 4 * sequences, count: sequences)
    var end = 0
    for sequence in 0..<sequences {
      let (length, first) = (try lengths.next(), try firsts.next())
      guard length >= 0, first == Int64(end) else {
        throw damaged(
          "sequence \(sequence) of \(length) tokens begins at byte \(first), not at \(end) where the one "
            + "before ends")
      }
      end += Int(length) * width
    }
    guard end == data.count else {
      throw damaged("its sequences take \(end) bytes, but \(data.path) has \(data.count)")
    }
    tokens = end / width
    var ends = Numbers<Int64>(
      file, from: Self.headerBytes + 12 * sequences, count: documents + 1)
    var last: Int64 = 0
    for place in 0...documents {
      let bound = try ends.next()
      guard place == 0 ? bound == 0 : bound >= last, bound <= Int64(sequences) else {
        throw damaged(
          "bound \(place) of documents is \(bound), after \(last) of \(sequences) sequences")
      }
      last = bound
    }
    guard last == Int64(sequences) else {
      throw damaged("its documents end at sequence \(last) of \(sequences)")
    }
  }

  /// The first token of a document.
  ///
  /// - Throws: `CorpusError` where the index says something else than when it was opened.
  func start(ofDocument document: Int) throws(CorpusError) -> Int {
    let place = Self.headerBytes + 12 * sequences + 8 * document
    let sequence: Int64 = try file.value(at: place)
    guard (0...Int64(sequences)).contains(sequence) else {
      throw .changed(
        path: path, position: place, reason: "is sequence \(sequence) of \(sequences)")
    }
    guard sequence < sequences else { return tokens }
    let other = Self.headerBytes + 4 * sequences + 8 * Int(sequence)
    let first: Int64 = try file.value(at: other)
    guard first >= 0, first <= Int64(tokens * tokenBytes) else {
      throw .changed(path: path, position: other, reason: "is byte \(first)")
    }
    return Int(first) / tokenBytes
  }
}

extension OpenFile {
  /// A little-endian integer at a byte.
  fileprivate func value<Number: FixedWidthInteger & BitwiseCopyable>(
    at offset: Int
  ) throws(CorpusError) -> Number {
    try dataFiles { () throws(FileError) in try number(at: offset) }
  }
}

/// Little-endian integers of a file, one after the other, read in pieces.
private struct Numbers<Number: FixedWidthInteger & BitwiseCopyable> {
  private let file: OpenFile
  private var offset: Int
  private let end: Int
  private var piece: [UInt8] = []
  private var place = 0
  private static var size: Int { MemoryLayout<Number>.size }

  init(_ file: OpenFile, from offset: Int, count: Int) {
    (self.file, self.offset, end) = (file, offset, offset + Self.size * count)
  }

  /// The next one, of those that there are.
  mutating func next() throws(CorpusError) -> Number {
    if place == piece.count {
      let range = offset..<min(end, offset + 1 << 20)
      piece = try dataFiles { [file] () throws(FileError) in try file.read(range) }
      (offset, place) = (range.upperBound, 0)
    }
    defer { place += Self.size }
    return piece.withUnsafeBytes {
      Number(littleEndian: $0.loadUnaligned(fromByteOffset: place, as: Number.self))
    }
  }
}
