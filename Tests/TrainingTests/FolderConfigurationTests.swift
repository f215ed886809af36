import Configuration
import Foundation
import Models
import TemporaryFolders
import Testing

@testable import Training

@Suite("Run files beside a model's folder")
struct FolderConfigurationTests {
  private let files: TemporaryFolder

  init() throws { files = try TemporaryFolder() }

  /// A folder with the `config.json` of a mixer's model.
  private func folder(_ mixer: String) throws -> String {
    var section = ModelSection()
    (section.mixer, section.dimension, section.depth, section.heads) = (mixer, 32, 2, 2)
    let keys = Architectures.make(section, vocabulary: 50).configuration
    try files.write("\(mixer)/config.json", JSONValue.object(keys).encoded)
    return files.file(mixer)
  }

  private func load(_ keys: String...) throws -> RunConfiguration {
    try RunConfiguration.load(overrides: keys.map { Override($0) })
  }

  @Test(
    "A key that says something else than the folder is an error that names both",
    arguments: [
      ("gla", "model.dimension=64", "is 64, but the model in FOLDER has 32"),
      ("gla", "model.mixer=tnl", "is tnl, but the model in FOLDER has gla"),
      ("mamba", "model.heads=4", "the model in FOLDER says itself what it is"),
      ("gla", "model.gla.clamp_min=-1", "the model in FOLDER says itself what it is"),
      ("llama", "model.window=4", "the model in FOLDER says itself what it is"),
    ])
  func refused(mixer: String, key: String, sentence: String) throws {
    let folder = try folder(mixer)
    let error = try #require(throws: ConfigurationError.self) {
      try load("model.from=\(folder)", key)
    }
    let name = key.prefix { $0 != "=" }
    #expect("\(error)".hasPrefix("--\(name)"))
    #expect("\(error)".contains(sentence.replacing("FOLDER", with: folder)))
  }

  @Test("Keys that say what the folder does are let be", arguments: ["gla", "llama", "tnl"])
  func allowed(mixer: String) throws {
    _ = try load(
      "model.from=\(folder(mixer))", "model.mixer=\(mixer)", "model.dimension=32",
      "model.heads=2", "model.depth=2")
  }

  @Test("What is printed is the folder's model, and it reads back")
  func printed() throws {
    let run = try load("model.from=\(folder("gla"))", "data.task=recall")
    let model = try #require(JSONValue(Data(run.json.text.utf8))["model"])
    #expect(model["mixer"] == "gla" && model["dimension"] == 32 && model["depth"] == 2)
    #expect(model["vocabulary"] == 50 && model["heads"] == 2)
    #expect(run.resolved.contains("  mixer: gla\n") && !run.resolved.contains("\n  window:"))
    try files.write("run.yaml", Data(run.resolved.utf8))
    let again = try RunConfiguration.load(file: files.file("run.yaml"))
    #expect(again.json.text == run.json.text)
  }

  @Test("Keys of a method stand beside the Transformer that it changes, and its mixer is told")
  func method() throws {
    let folder = try folder("llama")
    let run = try load(
      "model.from=\(folder)", "linearise.method=lolcats", "model.lolcats.window=8")
    #expect(try JSONValue(Data(run.json.text.utf8))["model"]?["mixer"] == "lolcats")
    _ = try load(
      "model.from=\(folder)", "linearise.method=xatl", "model.mixer=gated_deltanet")
    #expect(throws: ConfigurationError.self) {
      try load("model.from=\(folder)", "linearise.method=xatl", "model.dimension=64")
    }
    #expect(throws: ConfigurationError.self) {
      try load("model.from=\(folder)", "linearise.method=lolcats", "model.mixer=gla")
    }
  }

  @Test("A dry run stands in for data that are not there, and says so")
  func absentData() throws {
    let small = try SmallRun("data.path=not-here.txt").configuration
    let text = try Plan(small, processes: 2).description(speed: Plan.Speed(gigaflops: 100))
    #expect(text.contains("not-here.txt is not here; planned as if it held 256 different tokens"))
    let known = try SmallRun("data.path=not-here.bin", "model.vocabulary=70").configuration
    #expect(try Plan(known, processes: 2).model.vocabulary == 70)
    #expect(throws: ConfigurationError.self) {
      _ = try Plan(SmallRun("data.path=not-here.bin").configuration, processes: 2)
    }
  }
}
