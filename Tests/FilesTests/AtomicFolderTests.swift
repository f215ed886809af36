import Files
import Foundation
import TemporaryFolders
import Testing

@Suite struct AtomicFolders {
  private func write(_ destination: String, _ text: String) throws {
    let folder = try AtomicFolder(destination: destination)
    try FileSystem.makeFolder("\(folder.path)/part")
    try AtomicFile.write(Data(text.utf8), to: "\(folder.path)/part/file")
    try folder.commit()
  }

  @Test func appearsOnlyWhenCommittedAndReplacesTheOld() throws {
    let root = try TemporaryFolder()
    try write(root.file("runs/new/step"), "one")
    #expect(try root.read("runs/new/step/part/file") == Data("one".utf8))
    do {
      let folder = try AtomicFolder(destination: root.file("runs/new/step"))
      try AtomicFile.write(Data("two".utf8), to: "\(folder.path)/file")
      #expect(try root.read("runs/new/step/part/file") == Data("one".utf8))
    }
    #expect(try FileSystem.names(in: root.file("runs/new")) == ["step"])
    try write(root.file("runs/new/step/"), "three")
    #expect(try root.read("runs/new/step/part/file") == Data("three".utf8))
    #expect(try FileSystem.names(in: root.file("runs/new")) == ["step"])
  }

  @Test func whatAKilledRunLeftIsPutRight() throws {
    let root = try TemporaryFolder()
    // Killed while writing.
    try FileSystem.makeFolder(root.file(".tmp-step-99999999"))
    try root.write(".tmp-step-99999999/file", Data())
    try write(root.file("step"), "one")
    #expect(try root.names == ["step"])
    // Killed between the two renames.
    try FileSystem.rename(root.file("step"), to: root.file(".old-step"))
    try AtomicFolder.recover(root.file("step"))
    #expect(try root.names == ["step"])
    #expect(try root.read("step/part/file") == Data("one".utf8))
    // Killed before the old one was deleted.
    try FileSystem.makeFolder(root.file(".old-step"))
    try AtomicFolder.recover(root.file("step"))
    #expect(try root.names == ["step"])
  }

  @Test func anUnwritableDestinationIsOneClearError() throws {
    let root = try TemporaryFolder()
    let file = try root.write("file", Data())
    let error = try #require(throws: (any Error).self) {
      try AtomicFolder(destination: "\(file)/step")
    }
    #expect("\(error)".hasPrefix("cannot make the folder \(file): File exists"))
  }
}
