import Files
import Foundation
import Glibc
import TemporaryFolders
import Testing

@Suite("Places for output")
struct OutputTests {
  private let files: TemporaryFolder

  init() throws { files = try TemporaryFolder() }

  private func problem(_ body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch {
      return "\(error)"
    }
  }

  @Test("A pipe is never replaced by a file or a folder")
  func pipes() throws {
    let pipe = files.file("pipe")
    try #require(mkfifo(pipe, 0o600) == 0)
    let expected =
      "cannot write \(pipe): it is a pipe, which is never replaced; name another file or folder"
    #expect(problem { try AtomicFile.write(Data("x".utf8), to: pipe) } == expected)
    #expect(problem { _ = try AtomicFolder(destination: pipe) } == expected)
    #expect(FileSystem.kind(pipe) == .pipe)
    #expect(try files.names == ["pipe"])
  }

  @Test(
    "A link is never written through nor replaced, wherever it leads", arguments: [true, false])
  func links(dangles: Bool) throws {
    let target = files.file("target")
    if !dangles { try files.write("target", "old") }
    try FileManager.default.createSymbolicLink(
      atPath: files.file("link"), withDestinationPath: target)
    let expected =
      "cannot write \(files.file("link")): it is a link, which is never replaced; name another file or folder"
    #expect(problem { try AtomicFile.write(Data("x".utf8), to: files.file("link")) } == expected)
    #expect(problem { _ = try AtomicFolder(destination: files.file("link")) } == expected)
    #expect(FileSystem.kind(files.file("link"), following: false) == .link)
    #expect(dangles ? !files.has("target") : try files.text("target") == "old")
  }

  @Test("What stands under the hidden name of a file that is written is not written through")
  func hidden() throws {
    try files.write("target", "old")
    try FileManager.default.createSymbolicLink(
      atPath: files.file(".tmp-out-\(getpid())"), withDestinationPath: files.file("target"))
    try AtomicFile.write(Data("new".utf8), to: files.file("out"))
    #expect(try files.text("target") == "old")
    #expect(try files.text("out") == "new")
    #expect(FileSystem.kind(files.file("out"), following: false) == .file)
  }

  @Test("What appears in the place of output while it is written stays, too")
  func appears() throws {
    let file = try AtomicFile(path: files.file("out"))
    try file.write(Data("x".utf8))
    try #require(mkfifo(files.file("out"), 0o600) == 0)
    #expect(problem { try file.commit() }.contains("it is a pipe, which is never replaced"))
    #expect(try files.names == ["out"])
  }
}

@Suite("Files that are read")
struct InputTests {
  private let files: TemporaryFolder

  init() throws { files = try TemporaryFolder() }

  @Test("A pipe is refused at once by all that opens files, a folder, too")
  func kinds() throws {
    let pipe = files.file("pipe")
    try #require(mkfifo(pipe, 0o600) == 0)
    let expected =
      "it is a pipe, which has no beginning to go back to; write what it gives into a file"
    func problem(_ body: () throws -> Void) -> String {
      do {
        try body()
        return ""
      } catch {
        return "\(error)"
      }
    }
    for path in [pipe, files.path] {
      let wanted = path == pipe ? expected : "Is a directory; name a file in it"
      #expect(problem { _ = try MappedFile(path: path) }.contains(wanted))
      #expect(problem { _ = try OpenFile(path: path) }.contains(wanted))
      #expect(problem { _ = try InputFile(path: path) }.contains(wanted))
    }
  }

  @Test("Parts of an open file are read; those that were cut off are an error that says where")
  func parts() throws {
    let path = try files.write("x", Data((0..<100).map { UInt8($0) }))
    let file = try OpenFile(path: path)
    #expect(try file.read(90..<93) == [90, 91, 92])
    #expect(try file.read(100..<100) == [])
    #expect(try file.number(at: 1, as: UInt16.self) == 0x0201)
    #expect(truncate(path, 50) == 0)
    #expect(try file.read(40..<50).count == 10)
    #expect(throws: FileError.self) { try file.read(40..<51) }
    do {
      _ = try file.read(60..<70)
    } catch {
      #expect(
        "\(error)"
          == "cannot read \(path): it was changed meanwhile, and ends at byte 50 where there were 100 "
          + "bytes when it was opened; restore it, and go on from the last checkpoint")
    }
  }

  @Test("A file that is longer than its kind is refused before it is read")
  func tooLong() throws {
    let path = try files.write("x", "12345")
    #expect(try MappedFile(path: path, most: 5).bytes.count == 5)
    #expect(throws: FileError.self) { try MappedFile(path: path, most: 4) }
  }
}
