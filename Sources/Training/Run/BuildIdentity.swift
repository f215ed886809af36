import Checkpoints
import Foundation

/// Tells one build of the program from another.
package enum BuildIdentity {
  /// The linker's build ID of the running program, or where it has none the SHA-256 of its file.
  static let current = ofProgram(at: "/proc/self/exe")

  /// Its first digits.
  package static var short: String { String(current.prefix(12)) }

  static func ofProgram(at path: String) -> String {
    guard let file = FileHandle(forReadingAtPath: path) else { return "unknown" }
    defer { try? file.close() }
    func bytes(_ offset: Int, _ count: Int) -> [UInt8] {
      guard (try? file.seek(toOffset: UInt64(offset))) != nil else { return [] }
      return (try? file.read(upToCount: count)).flatMap { $0 }.map(Array.init) ?? []
    }
    return note(bytes) ?? (try? Data(contentsOf: URL(fileURLWithPath: path))).map {
      ContentHash(of: $0).text
    } ?? "unknown"
  }

  /// The note of type 3 named `GNU` of an ELF file of 64 bits.
  ///
  /// - Source: System V Application Binary Interface, chapter 5, "Program Header" and "Note Section".
  private static func note(_ bytes: (Int, Int) -> [UInt8]) -> String? {
    let head = bytes(0, 64)
    guard head.count == 64, head[0..<4] == [0x7F, 0x45, 0x4C, 0x46], head[4] == 2 else {
      return nil
    }
    let (table, size, count) = (head.integer(32, 8), head.integer(54, 2), head.integer(56, 2))
    guard size == 56, count < 1 << 12 else { return nil }
    let programs = bytes(table, size * count)
    guard programs.count == size * count else { return nil }
    for index in 0..<count {
      let program = Array(programs[index * size..<(index + 1) * size])
      guard program.integer(0, 4) == 4, program.integer(32, 8) < 1 << 16 else { continue }
      let notes = bytes(program.integer(8, 8), program.integer(32, 8))
      var at = 0
      while at + 12 <= notes.count {
        let (name, length) = (notes.integer(at, 4), notes.integer(at + 4, 4))
        let type = notes.integer(at + 8, 4)
        let start = at + 12 + (name + 3) / 4 * 4
        guard start + length <= notes.count else { break }
        if type == 3, notes[at + 12..<at + 12 + name] == [0x47, 0x4E, 0x55, 0] {
          return notes[start..<start + length].map { String(format: "%02x", $0) }.joined()
        }
        at = start + (length + 3) / 4 * 4
      }
    }
    return nil
  }
}

extension [UInt8] {
  /// An unsigned number of up to 8 bytes, the lowest first; one beyond `Int` is its greatest.
  fileprivate func integer(_ offset: Int, _ bytes: Int) -> Int {
    var value: UInt64 = 0
    for index in (0..<bytes).reversed() { value = value << 8 | UInt64(self[offset + index]) }
    return Int(clamping: value)
  }
}
