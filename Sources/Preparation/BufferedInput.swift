import Files
import Glibc

/// A file's bytes, taken line by line or in pieces.
struct BufferedInput {
  private let input: InputFile
  private var buffer: [UInt8] = []
  private var start = 0
  private var isAtEnd = false

  init(_ input: InputFile) { self.input = input }

  /// Bytes of the file that were read.
  var position: Int { input.position }

  /// The next line, with its line break if it has one; nil at the end.
  mutating func line() throws(PreparationError) -> ArraySlice<UInt8>? {
    var searched = start
    while true {
      if let end = buffer[searched...].firstIndex(of: 0x0A) {
        defer { start = end + 1 }
        return buffer[start...end]
      }
      let pending = buffer.count - start
      guard try more() else {
        defer { start = buffer.count }
        return pending > 0 ? buffer[start...] : nil
      }
      searched = start + pending
    }
  }

  /// The next `most` bytes, or somewhat fewer: up to the last line break among them, or the last whole character; and
  /// whether they are the last.
  mutating func piece(most: Int) throws(PreparationError) -> (
    bytes: ArraySlice<UInt8>, isLast: Bool
  ) {
    while buffer.count - start <= most {
      guard try more() else {
        defer { start = buffer.count }
        return (buffer[start...], true)
      }
    }
    let whole = buffer[start..<start + most]
    var end = whole.endIndex
    if let lineBreak = whole.lastIndex(of: 0x0A) {
      end = lineBreak + 1
    } else {
      while end > whole.startIndex + 1, buffer[end] & 0xC0 == 0x80 { end -= 1 }
    }
    defer { start = end }
    return (buffer[start..<end], false)
  }

  /// Reads on; false at the file's end.
  private mutating func more() throws(PreparationError) -> Bool {
    guard !isAtEnd else { return false }
    if start > 0 {
      buffer.removeSubrange(..<start)
      start = 0
    }
    let old = buffer.count
    let room = max(1 << 20, old)
    buffer.append(contentsOf: repeatElement(0, count: room))
    let count: Int
    do throws(InputError) {
      count = try input.read(into: &buffer, from: old)
    } catch {
      throw .input(error)
    }
    buffer.removeSubrange((old + count)...)
    isAtEnd = count == 0
    return count > 0
  }
}
