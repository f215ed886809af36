import Foundation
import Models
import TemporaryFolders
import Testing

@testable import Checkpoints

@Suite("Damaged checkpoints")
struct DamagedCheckpointTests {
  private let folder: TemporaryFolder
  private let checkpoint: Checkpoint
  private let small: SmallCheckpoint

  init() throws {
    folder = try TemporaryFolder()
    small = try SmallCheckpoint()
    checkpoint = try small.write(below: folder.path)
  }

  /// Why the checkpoint is not accepted after one of its files has changed.
  private func problem(_ name: String, _ change: (inout Data) -> Void) throws -> String {
    let url = URL(fileURLWithPath: "\(checkpoint.path)/\(name)")
    let before = try Data(contentsOf: url)
    var data = before
    change(&data)
    try data.write(to: url)
    defer { try? before.write(to: url) }
    return sentence { try Checkpoint(path: checkpoint.path).verify() }
  }

  private var names: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: checkpoint.path).sorted() }
  }

  @Test("A bit that has flipped is found in every file, wherever it is")
  func flipped() throws {
    #expect(try names.count >= 5)
    for name in try names {
      for place in [0.0, 0.3, 0.7, 0.999] {
        let problem = try problem(name) { $0[Int(place * Double($0.count))] ^= 0x10 }
        #expect(problem.contains(" is damaged: "), "\(name) \(place): \(problem)")
        if name != "state.json" { #expect(problem.contains(name)) }
      }
    }
  }

  @Test("A page of zeros, a file that is cut or longer, and one that is missing are found")
  func others() throws {
    for name in try names {
      #expect(
        try problem(name) { $0.replaceSubrange(0..<64, with: Data(count: 64)) }.contains(
          " is damaged: "))
      #expect(try problem(name) { $0.removeLast(3) }.contains(" is damaged: "), "\(name)")
      if name != "state.json" {
        #expect(try problem(name) { $0.append(0) }.contains("but it was written with"), "\(name)")
      }
      let path = "\(checkpoint.path)/\(name)"
      try FileManager.default.moveItem(atPath: path, toPath: folder.file("aside"))
      let problem = sentence { try Checkpoint(path: checkpoint.path).verify() }
      #expect(
        problem.contains("\(name) is missing") || problem.contains("there is no state.json in it"))
      try FileManager.default.moveItem(atPath: folder.file("aside"), toPath: path)
    }
    #expect(sentence { try Checkpoint(path: checkpoint.path).verify() } == "")
  }

  @Test("A damaged checkpoint is no model either, and one that is too large to compare says so")
  func asModel() throws {
    #expect(try ModelFolder(verifying: checkpoint.path).notices.isEmpty)
    for name in try names {
      let path = "\(checkpoint.path)/\(name)"
      let before = try Data(contentsOf: URL(fileURLWithPath: path))
      var (cut, flipped) = (before, before)
      cut.removeLast(9)
      flipped[before.count * 9 / 10] ^= 4
      try cut.write(to: URL(fileURLWithPath: path))
      #expect(
        sentence { _ = try ModelFolder(verifying: checkpoint.path) }.contains("is damaged"),
        "\(name) cut")
      try flipped.write(to: URL(fileURLWithPath: path))
      // What only training reads is not read here.
      let isOfTraining = ["optimizer.safetensors", "streams.safetensors"].contains(name)
      #expect(
        sentence { _ = try ModelFolder(verifying: checkpoint.path) }.contains("is damaged")
          != isOfTraining, "\(name) flipped")
      try before.write(to: URL(fileURLWithPath: path))
    }
    #expect(try checkpoint.verifyModel(most: 100)?.contains("checkpoints verify") == true)
    // Somebody else's folder may have a file of this name.
    try Data("{\"epoch\": 3}".utf8).write(
      to: URL(fileURLWithPath: "\(checkpoint.path)/state.json"))
    #expect(sentence { _ = try ModelFolder(verifying: checkpoint.path) } == "")
  }

  @Test("What is written as no number is not read, of weights and of moments")
  func notFinite() throws {
    for quantity in [TrainingState.Quantity.weight, .secondMoment] {
      let layout = CheckpointLayout(small.model, quantities: small.quantities)
      let writer = try CheckpointWriter(
        TrainingState(step: 8, seed: 1, version: ""), layout, below: folder.path)
      for written in [.weight] + small.quantities {
        var numbers = small.numbers(written)
        if written == quantity { numbers[numbers.count / 2] = .nan }
        try writer.write(written, 0..<numbers.count, numbers)
      }
      let checkpoint = try writer.finish()
      try checkpoint.verify()
      #expect(sentence { _ = try small.read(checkpoint) }.contains("holds nan"))
    }
  }

  @Test(
    "A state with an impossible step or of a later format is refused with a sentence",
    arguments: [
      ("\"step\": 7", "\"step\": -5", "no step or seed"),
      ("\"step\": 7", "\"step\": -9223372036854775808", "no step or seed"),
      ("\"step\": 7", "\"step\": 9223372036854775807", "no step or seed"),
      ("\"state_start\": 0", "\"state_start\": 8", "began at step 8"),
      ("\"state_start\": 0", "\"state_start\": -9223372036854775808", "began at step -"),
      ("\"format\": 2", "\"format\": 3", "is of format 3"),
    ])
  func impossible(what: String, other: String, words: String) throws {
    let problem = try problem("state.json") {
      $0 = Data(String(decoding: $0, as: UTF8.self).replacing(what, with: other).utf8)
    }
    #expect(problem.contains(words), "\(problem)")
  }

  @Test(
    "A list of files that leads out of the folder, or with gaps, is none",
    arguments: ["../a", "/a", "a/../../b", "a//b", "", "."])
  func foreignNames(name: String) throws {
    func manifest(_ name: String, offset: Int = 0, length: Int = 4) -> CheckpointManifest? {
      CheckpointManifest(
        .object([
          name: [
            "size": 4,
            "ranges": [
              [
                "offset": .integer(offset), "length": .integer(length),
                "sha256": .string(String(repeating: "0a", count: 32)),
              ]
            ],
          ]
        ]))
    }
    #expect(manifest("model/a") != nil)
    #expect(manifest(name) == nil)
    #expect(manifest("a", offset: 1) == nil && manifest("a", length: 5) == nil)
    #expect(manifest("a", offset: .max) == nil && manifest("a", length: .max) == nil)
  }
}
