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
  private let file: MappedFile

  private static let magic = Array("MMIDIDX".utf8) + [0, 0]
  private static let headerBytes = 34
  /// Kinds of tokens by their code, with their bytes; the others are numbers that are no tokens, or wider.
  private static let widths: [UInt8: Int] = [1: 1, 3: 2, 4: 4, 8: 2]

  /// The index of a file of tokens; nil where there is none.
  ///
  /// - Throws: `CorpusError` when it is damaged, or does not fit the tokens.
  init?(besides tokens: MappedFile) throws(CorpusError) {
    guard tokens.path.hasSuffix(".bin") else { return nil }
    let path = String(tokens.path.dropLast(4)) + ".idx"
    guard FileSystem.kind(path) == .file else { return nil }
    let file = try MappedFile(data: path)
    guard Self.begins(file) else { return nil }
    try self.init(file, of: tokens)
  }

  /// Whether a file is an index, by how it begins.
  static func begins(_ file: MappedFile) -> Bool { file.bytes.starts(with: magic) }

  private init(_ file: MappedFile, of data: MappedFile) throws(CorpusError) {
    func damaged(_ reason: String) -> CorpusError { .unreadable(path: file.path, reason: reason) }
    let size = file.bytes.count
    guard size >= Self.headerBytes else { throw damaged("it ends within its header") }
    let version: UInt64 = file.number(at: 9)
    guard version == 1 else { throw damaged("it has version \(version), and only 1 is known") }
    guard let width = Self.widths[file.bytes[17]] else {
      throw damaged(
        "its tokens are of kind \(file.bytes[17]); those that are read are 1 (uint8), 3 (int16), 4 "
          + "(int32) and 8 (uint16)")
    }
    let (counted, bounds): (UInt64, UInt64) = (file.number(at: 18), file.number(at: 26))
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
    var end = 0
    for sequence in 0..<sequences {
      let length: Int32 = file.number(at: Self.headerBytes + 4 * sequence)
      let first: Int64 = file.number(at: Self.headerBytes + 4 * sequences + 8 * sequence)
      guard length >= 0, first == Int64(end) else {
        throw damaged(
          "sequence \(sequence) of \(length) tokens begins at byte \(first), not at \(end) where the one "
            + "before ends")
      }
      end += Int(length) * width
    }
    guard end == data.bytes.count else {
      throw damaged("its sequences take \(end) bytes, but \(data.path) has \(data.bytes.count)")
    }
    tokens = end / width
    var last: Int64 = 0
    for place in 0...documents {
      let bound = bound(place)
      guard place == 0 ? bound == 0 : bound >= last, bound <= Int64(sequences) else {
        throw damaged(
          "bound \(place) of documents is \(bound), after \(last) of \(sequences) sequences")
      }
      last = bound
    }
    guard last == Int64(sequences) else {
      throw damaged("its documents end at sequence \(last) of \(sequences)")
    }
    file.release(0..<size)
  }

  /// The first token of a document.
  func start(ofDocument document: Int) -> Int {
    let sequence = Int(bound(document))
    guard sequence < sequences else { return tokens }
    let first: Int64 = file.number(at: Self.headerBytes + 4 * sequences + 8 * sequence)
    return Int(first) / tokenBytes
  }

  private func bound(_ place: Int) -> Int64 {
    file.number(at: Self.headerBytes + 12 * sequences + 8 * place)
  }
}

extension MappedFile {
  /// A little-endian integer at a byte.
  fileprivate func number<Number: FixedWidthInteger>(at offset: Int) -> Number {
    Number(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Number.self))
  }
}
