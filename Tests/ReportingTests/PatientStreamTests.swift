import Foundation
import Testing

@testable import Reporting

/// What is written for a person.
@Suite("A console")
struct PatientStreamTests {
  /// A pipe's two ends.
  private func pipe() -> (reading: Int32, writing: Int32) {
    var ends: [Int32] = [-1, -1]
    #expect(Glibc.pipe(&ends) == 0)
    return (ends[0], ends[1])
  }

  @Test("All of a text arrives where there is room")
  func whole() {
    let (reading, writing) = pipe()
    let text = String(repeating: "a line\n", count: 2000)
    PatientStream().write(text, to: writing)
    close(writing)
    #expect(FileHandle(fileDescriptor: reading).readDataToEndOfFile() == Data(text.utf8))
    close(reading)
  }

  @Test("A pipe that nobody reads keeps nobody, and takes lines again when it is read")
  func unread() {
    let (reading, writing) = pipe()
    defer { for end in [reading, writing] { close(end) } }
    let stream = PatientStream(patience: 0.01)
    for _ in 0..<100 { stream.write(String(repeating: "x", count: 4000), to: writing) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let filled = read(reading, &bytes, bytes.count)
    #expect(filled > 0 && filled < 400_000)
    stream.write("again", to: writing)
    #expect(
      String(decoding: bytes[..<max(read(reading, &bytes, bytes.count), 0)], as: UTF8.self)
        == "again")
  }

  @Test("A closed descriptor and a reader that is gone are no errors")
  func closed() {
    signal(SIGPIPE, SIG_IGN)
    let (reading, writing) = pipe()
    close(reading)
    PatientStream().write("lost", to: writing)
    close(writing)
    PatientStream().write("lost", to: writing)
  }
}
