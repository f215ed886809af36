import Foundation

/// The framing of event files: length, check of the length, data, check of the data.
///
/// - Source: TensorFlow's TFRecord format.
enum RecordFile {
  /// A record of some data.
  static func record(_ data: Data) -> Data {
    let length = bytes(UInt64(data.count))
    return length + bytes(CRC32C.masked(length)) + data + bytes(CRC32C.masked(data))
  }

  /// The data of a file's records, each with the offset at which it begins; those behind a damaged one are left out.
  static func records(_ file: Data) -> [(offset: Int, data: Data)] {
    var (records, offset) = ([(offset: Int, data: Data)](), 0)
    while let data = data(at: offset, of: file) {
      records.append((offset, data))
      offset += data.count + 16
    }
    return records
  }

  /// Where the records that are whole end.
  static func end(of records: [(offset: Int, data: Data)]) -> Int {
    records.last.map { $0.offset + $0.data.count + 16 } ?? 0
  }

  private static func data(at offset: Int, of file: Data) -> Data? {
    guard file.count - offset >= 16 else { return nil }
    let start = file.startIndex + offset
    let length = file[start..<start + 8]
    let count = number(length)
    guard number(file[start + 8..<start + 12]) == UInt64(CRC32C.masked(length)),
      count <= UInt64(file.count - offset - 16)
    else { return nil }
    let data = file[start + 12..<start + 12 + Int(count)]
    let check = file[data.endIndex..<data.endIndex + 4]
    return number(check) == UInt64(CRC32C.masked(data)) ? data : nil
  }

  private static func bytes(_ value: some FixedWidthInteger) -> Data {
    withUnsafeBytes(of: value.littleEndian) { Data($0) }
  }

  private static func number(_ bytes: Data) -> UInt64 {
    bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }
}
