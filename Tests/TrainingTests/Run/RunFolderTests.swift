import Files
import Foundation
import TemporaryFolders
import Testing

@testable import Training

@Suite("The run's folder")
struct RunFolderTests {
  private let files: TemporaryFolder

  init() throws { files = try TemporaryFolder() }

  private func prepare(_ overrides: String..., overwrite: Bool = false) throws -> RunFolder {
    let document = ["log.directory=\(files.path)"] + overrides
    return try RunFolder.prepare(
      configuration: .load(overrides: document.map { .init($0) }), overwrite: overwrite)
  }

  @Test("The folder that the user names is made, with those above it")
  func made() throws {
    let folder = try prepare("log.directory=\(files.path)/a/b/")
    #expect(folder.path == "\(files.path)/a/b")
    #expect(files.has("a/b"))
    #expect(folder.logPath == "\(files.path)/a/b/log.jsonl")
    #expect(folder.modelPath == "\(files.path)/a/b/model")
    #expect(folder.checkpointsPath == "\(files.path)/a/b/checkpoints")
  }

  @Test(
    "A folder with an earlier run is refused, and nothing in it changes",
    arguments: ["log.jsonl", "model/config.json", "checkpoints/step-1/manifest.json"])
  func taken(file: String) throws {
    try files.write(file, "kept")
    #expect {
      try prepare()
    } throws: {
      guard case TrainingError.folderTaken(let path) = $0 else { return false }
      return path == files.path
    }
    #expect(try files.text(file) == "kept")
  }

  @Test("With --overwrite the earlier run is removed once asked, and nothing else")
  func overwritten() throws {
    for file in ["log.jsonl", "model/config.json", "checkpoints/a", "notes.txt"] {
      try files.write(file, "old")
    }
    let folder = try prepare(overwrite: true)
    #expect(try files.text("log.jsonl") == "old")
    #expect(files.has("model/config.json") && files.has("checkpoints/a"))
    try folder.removeEarlierRun()
    #expect(!files.has("log.jsonl") && !files.has("model") && !files.has("checkpoints"))
    #expect(try files.text("notes.txt") == "old")
  }

  @Test("A pipe where the model is to be is refused at the start")
  func pipe() throws {
    mkfifo(files.file("model"), 0o600)
    let problem = #expect(throws: FileError.self) { _ = try prepare("training.resume=auto") }
    #expect("\(problem!)".contains("model: it is a pipe, which is never replaced"))
  }

  @Test("A run that resumes goes on in its folder, with or without --overwrite")
  func resumed() throws {
    try files.write("log.jsonl", "{}\n")
    #expect(try prepare("training.resume=auto").continues)
    #expect(try prepare("training.resume=auto", overwrite: true).continues)
    #expect(try prepare("training.resume=\(files.path)/checkpoints/step-5").continues)
  }

  @Test("A checkpoint of another run begins a new one, which needs a folder of its own")
  func branched() throws {
    #expect(try !prepare("training.resume=elsewhere/checkpoints/step-5").continues)
    try files.write("log.jsonl", "{}\n")
    #expect(throws: TrainingError.self) {
      try prepare("training.resume=elsewhere/checkpoints/step-5")
    }
  }

  @Test("A place that cannot hold a folder is one sentence with cause and cure")
  func unwritable() throws {
    try files.write("file", "")
    let path = "\(files.path)/file/run"
    #expect {
      try prepare("log.directory=\(path)")
    } throws: {
      "\($0)" == "cannot make the folder \(files.path)/file: File exists; "
        + "a part of that path is a file: choose another path"
    }
  }

  @Test("Runs of the same second have folders of their own")
  func sameSecond() throws {
    let paths = try (0..<3).map { _ in
      try RunFolder.makeNew(named: "recall-20261121-084213", in: files.path).path
    }
    let first = "\(files.path)/recall-20261121-084213"
    #expect(paths == [first, first + "-2", first + "-3"])
  }

  @Test(
    "A run without a name is named by its data and the time",
    arguments: [
      (nil, "recall"), ("data.path=/d/tiny shakespeare.txt", "tiny-shakespeare"),
      ("data.path=[a.bin, b.bin]", "a"), ("data.path=_.txt", "data"),
    ] as [(String?, String)])
  func named(override: String?, data: String) throws {
    let configuration = try RunConfiguration.load(overrides: override.map { [.init($0)] } ?? [])
    let name = RunFolder.name(for: configuration, at: 1_795_250_533)
    #expect(name.hasPrefix(data + "-2026112"))
    #expect(name.count == data.count + 1 + "20261121-084213".count)
  }
}
