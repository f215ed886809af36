import Configuration
import Files
import Foundation

/// Formats of files that are neither text nor tokens as they stand, told by how they begin.
package enum ForeignFormat: String, Sendable, CaseIterable {
  case parquet, arrow, numpy, hdf5, gzip, zstandard, xz, bzip2, zip, pickle, safetensors, jsonLines

  /// The format of a file, by its first bytes; nil for text and tokens.
  ///
  /// - Parameter isText: Whether it was said to be text, bytes as they are, of which JSON is some.
  /// - Throws: `FileError` when it cannot be read.
  package static func of(_ file: OpenFile, isText: Bool) throws(FileError) -> ForeignFormat? {
    let ends = Ends(
      first: try file.read(0..<min(file.count, 1 << 20)),
      last: try file.read(max(0, file.count - 4)..<file.count), count: file.count)
    if let format = allCases.first(where: { format in
      format.beginnings.contains { ends.first.starts(with: $0) } && format.goesOn(in: ends)
    }) {
      return format
    }
    return !isText && holdsObject(ends.first, name: file.path) ? .jsonLines : nil
  }

  /// How a file begins and ends, and its length.
  private struct Ends {
    let first, last: [UInt8]
    let count: Int
  }

  /// What files of the format begin with.
  private var beginnings: [[UInt8]] {
    switch self {
    case .parquet: [Array("PAR1".utf8)]
    case .arrow: [Array("ARROW1".utf8)]
    case .numpy: [[0x93] + Array("NUMPY".utf8)]
    case .hdf5: [[0x89] + Array("HDF\r\n".utf8)]
    case .gzip: [[0x1F, 0x8B, 8]]
    case .zstandard: [[0x28, 0xB5, 0x2F, 0xFD]]
    case .xz: [[0xFD] + Array("7zXZ".utf8) + [0]]
    case .bzip2: [Array("BZh".utf8)]
    case .zip: [Array("PK".utf8) + [3, 4], Array("PK".utf8) + [5, 6]]
    case .pickle: (2...5).map { [0x80, $0] }
    case .safetensors: [[]]
    case .jsonLines: []
    }
  }

  /// Whether what follows is of the format, too, where the beginning alone could be that of text or tokens.
  private func goesOn(in file: Ends) -> Bool {
    let first = file.first
    return switch self {
    case .parquet: file.count >= 12 && file.last.elementsEqual("PAR1".utf8)
    // Flags beyond those that there are, and an operating system that there is not.
    case .gzip: file.count >= 18 && first[3] & 0xE0 == 0 && (first[9] <= 13 || first[9] == 255)
    case .bzip2:
      file.count >= 10 && (0x31...0x39).contains(first[3])
        && first[4..<10].elementsEqual([0x31, 0x41, 0x59, 0x26, 0x53, 0x59])
    // A frame, an empty dictionary or list, or a global; the last opcode of each is a full stop.
    case .pickle:
      file.count > 3 && [0x95, 0x7D, 0x5D, 0x28, 0x63, 0x8A, 0x58].contains(first[2])
        && file.last.last == 0x2E
    case .safetensors:
      file.count > 10 && first[8] == 0x7B && first[9] == 0x22
        && first[..<8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
          < UInt64(file.count) - 8
    default: true
    }
  }

  /// Whether the first line is a whole object of JSON.
  private static func holdsObject(_ first: [UInt8], name: String) -> Bool {
    guard let start = first.firstIndex(where: { $0 > 0x20 }), first[start] == UInt8(ascii: "{")
    else { return false }
    if name.hasSuffix(".jsonl") || name.hasSuffix(".ndjson") { return true }
    let line = first[start...].prefix { $0 != 0x0A }
    return (try? JSONValue(Data(line)))?.object != nil
  }

  /// What it is called, as in "is …".
  private var name: String {
    switch self {
    case .parquet: "a Parquet file"
    case .arrow: "an Arrow file"
    case .numpy: "a NumPy array with a header"
    case .hdf5: "an HDF5 file"
    case .gzip: "compressed by gzip"
    case .zstandard: "compressed by zstd"
    case .xz: "compressed by xz"
    case .bzip2: "compressed by bzip2"
    case .zip: "a ZIP archive, as PyTorch's files and .npz are"
    case .pickle: "a Python pickle, which may run any program when it is opened"
    case .safetensors: "a file of safetensors"
    case .jsonLines: "JSON"
    }
  }

  /// What it is, and the command that makes of it what can be read.
  package func sentence(_ path: String) -> String {
    let prepare = "lasp-train prepare --tokenizer PATH --output DIR"
    let lines = path + ".jsonl"
    let advice =
      switch self {
      case .gzip, .zstandard, .jsonLines:
        "convert it: \(prepare) \(path)"
          + (self == .jsonLines ? " (or set data.token_bytes=1 to train on its bytes)" : "")
      case .parquet, .arrow:
        "convert it: python3 -c \"import pandas; pandas.read_\(self == .parquet ? "parquet" : "feather")"
          + "('\(path)').to_json('\(lines)', orient='records', lines=True)\", then \(prepare) \(lines)"
      case .numpy:
        "convert it: python3 -c \"import numpy; numpy.load('\(path)').ravel().astype('<u2')"
          + ".tofile('\(path).bin')\" ('<u4' and data.token_bytes=4 above 65535)"
      case .xz: "convert it: xz -dk \(path), and name what comes of it"
      case .bzip2: "convert it: bzip2 -dk \(path), and name what comes of it"
      case .hdf5, .zip, .pickle, .safetensors:
        "write the tokens that it holds from Python: tokens.astype('<u2').tofile('tokens.bin')"
      }
    return "\(path) is \(name), not text or tokens as they stand; \(advice)"
  }
}
