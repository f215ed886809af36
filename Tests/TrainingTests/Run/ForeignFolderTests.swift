import Checkpoints
import Configuration
import Foundation

import Models
import SequenceParallel
import TemporaryFolders
import Tensors
import Testing

@testable import MessagePassing
@testable import Training

@Suite("Training that starts from a folder of another program")
struct ForeignFolderTests {
  private let files: TemporaryFolder

  init() throws {
    BLAS.setThreads(1)
    files = try TemporaryFolder()
  }

  private static let companions = [
    "tokenizer.json": "{\"ä\": 1}\n", "merges.txt": "#version: 0.2\r\n",
    "chat_template.jinja": "{{ x }}",
    "generation_config.json": "{ }",
  ]

  /// Writes a model of zeros, its companions and a key that this program does not know.
  private func writeFolder(_ value: JSONValue) throws {
    let section = ModelSection([
      "dimension": .integer(8), "depth": .integer(1), "heads": .integer(2),
    ])
    let model = LanguageModel(Architectures.make(section, vocabulary: 512))
    try ModelFolder.write(model, to: files.file("from")) { write in
      let zeros = [Float](repeating: 0, count: model.table.count)
      try zeros.withUnsafeBufferPointer { try write(0..<zeros.count, $0.baseAddress!) }
    }
    var keys = model.architecture.configuration
    keys["house_style"] = value
    try files.write("from/config.json", JSONValue.object(keys).encoded)
    for (name, text) in Self.companions { try files.write("from/\(name)", text) }
  }

  private func train(
    _ keys: String..., stoppingAfter last: Int = .max
  ) throws {
    let small = try SmallRun(
      [
        "model.from=\(files.file("from"))", "log.directory=\(files.file("run"))",
        "evaluation.every=0", "training.steps=4",
      ] + keys)
    _ = try ThreadCommunicator.run(ranks: 2, deadline: 60) { communicator in
      let world = World(
        communicator: communicator, host: Host(ranks: 2, index: communicator.rank))
      var asked = 0
      return try TrainingSession(small.configuration, world: world, workspace: Workspace()).train {
        asked += 1
        return asked == last
      }
    }
  }

  private var warnings: [Substring] {
    get throws {
      try files.text("run/log.jsonl").split(separator: "\n").filter { $0.contains("\"warning\"") }
    }
  }

  @Test(
    "Its tokenizer goes along, byte for byte, through a checkpoint; its keys are told once and stay"
  )
  func goesAlong() throws {
    try writeFolder([1, "a"])
    try train(stoppingAfter: 2)
    #expect(try warnings.count { $0.contains("not known here: house_style") } == 1)
    // What is said of the machine that tests run on is not the folder's.
    let machine = [ProcessInfo.processInfo.hostName, "OpenBLAS runs"]
    #expect(try warnings.count { line in !machine.contains { line.contains($0) } } == 1)
    #expect(!files.has("run/model"))
    try train("training.resume=auto")
    for (name, text) in Self.companions { #expect(try files.text("run/model/\(name)") == text) }
    #expect(try JSONValue(file: files.file("run/model/config.json"))["house_style"] == [1, "a"])
  }

  @Test(
    "A pretrained Transformer's folder is trained, and written in the layout in which it was read",
    arguments: ["llama_scaled", "mistral_window", "qwen2_upper_window", "qwen3_yarn"],
    ["none", "parameters"])
  func pretrained(name: String, sharding: String) throws {
    let fixture = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Fixtures/\(name)")
      .path
    try FileManager.default.copyItem(atPath: fixture, toPath: files.file("from"))
    try train("parallel.sharding=\(sharding)", "data.recall_values=3")
    let (read, written) = try (
      JSONValue(file: fixture + "/config.json"),
      JSONValue(file: files.file("run/model/config.json"))
    )
    for (key, value) in read.object ?? [:] { #expect(written[key] == value, "\(key)") }
    let (before, after) = try (
      SafetensorsFolder(path: fixture), SafetensorsFolder(path: files.file("run/model"))
    )
    func shapes(_ folder: SafetensorsFolder) -> [String: [Int]] {
      Dictionary(uniqueKeysWithValues: folder.tensors.map { ($0.name, $0.shape) })
    }
    #expect(shapes(after) == shapes(before))
    // Every weight was read and every one moved, from the start that was read.
    for tensor in before.tensors {
      func numbers(_ folder: SafetensorsFolder) throws -> [Float] {
        var numbers = [Float](repeating: 0, count: tensor.count)
        try numbers.withUnsafeMutableBufferPointer {
          try folder.readFloats(tensor.name, into: $0.baseAddress!)
        }
        return numbers
      }
      let (old, new) = try (numbers(before), numbers(after))
      let most = zip(old, new).map { abs($0 - $1) }.max()!
      #expect(most > 0 && most < 0.01, "\(tensor.name) moved by \(most)")
    }
  }

  @Test("What cannot be written back is refused before the first step")
  func infinity() throws {
    try writeFolder(.number(.infinity))
    #expect {
      try train()
    } throws: {
      "\($0)".contains("house_style cannot be written")
    }
    #expect(!files.has("run/log.jsonl"))
  }
}
