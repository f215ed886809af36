import Configuration
import Foundation
import Testing

@testable import Checkpoints

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

@Suite struct JSONValues {
  @Test func unknownKeysAndInfinitiesAreKept() throws {
    let folder = try TemporaryFolder()
    let text = """
      {"model_type": "mamba2", "dt_limit": [0.0, Infinity], "other": {"__float__": "Infinity"},
       "eps": 1e-05, "layers": 24, "attn": null, "tie": false, "names": ["a/b"], "base": 10000.5}
      """
    let value = try JSONValue(file: folder.write("config.json", Data(text.utf8)))
    #expect(value["dt_limit"]?.array?.last?.number == .infinity)
    #expect(value["other"]?.number == .infinity)
    #expect(value["eps"]?.number == 1e-5)
    #expect(value["layers"]?.integer == 24)
    #expect(value["layers"]?.number == 24)
    #expect(value["attn"] == .null)
    #expect(value["tie"]?.bool == false)
    #expect(value["names"]?.array == ["a/b"])
    #expect(value["absent"] == nil)

    var fields = try #require(value.object)
    fields["dt_limit"] = nil
    let path = try folder.write("again.json", JSONValue.object(fields).encoded)
    #expect(try JSONValue(file: path) == .object(fields))
  }

  @Test func aFileThatIsNoJSONIsNamed() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("config.json", Data("{\"a\": ".utf8))
    #expect(throws: CheckpointError.damaged(path: path, reason: "it is not JSON")) {
      try JSONValue(file: path)
    }
  }
}
