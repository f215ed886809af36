import Foundation
import Mutations
import TemporaryFolders
import Testing

@testable import Files

@Suite("Damaged files: packed text")
struct PackedFuzzTests {
  /// One line of text in two members of gzip, and in a frame of Zstandard with a checksum.
  static let packed = [
    "1f8b0800000000000203ab562a49ad2851b25250cacf4b55aae5aa0600df8bd0261100"
      + "00001f8b0800000000000203532a49ad2851b252502a29cf5738bc52a9960b008278e01f12000000",
    "28b52ffd2423fd0000c87b2274657874223a20226f6e65227d0a74776f20c3a9227d0a0100669b4bb5a98f9c",
  ].map { hex in
    stride(from: 0, to: hex.utf8.count, by: 2).map { place in
      UInt8(hex.dropFirst(place).prefix(2), radix: 16)!
    }
  }

  @Test("gzip and Zstandard are unpacked or refused")
  func packed() throws {
    let folder = try TemporaryFolder()
    let failures = Fuzzing("packed text", .bytes, Self.packed).run { bytes in
      let input = try InputFile(path: folder.write("x", Data(bytes)))
      var room = [UInt8](repeating: 0, count: 1 << 16)
      // What is packed may be as long as it likes; it is never held.
      for _ in 0..<1000 where try input.read(into: &room, from: 0) == 0 { break }
    }
    #expect(failures == [])
  }
}
