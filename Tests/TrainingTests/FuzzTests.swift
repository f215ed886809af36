import Configuration
import Foundation
import Models
import Mutations
import Testing

@testable import Training

@Suite("Damaged files: whole run files")
struct RunFileFuzzTests {
  private static func text(_ path: String) throws -> [UInt8] {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    return Array(try Data(contentsOf: root.appending(path: path)))
  }

  @Test("A run file is read or refused, and its model and its sequences are laid out")
  func runFiles() throws {
    let originals = [
      try Self.text("Configs/default.yaml"),
      Array(
        try RunConfiguration.load(overrides: [
          Override("model.mixer=gated_deltanet"),
          Override("model.layers=[gated_deltanet, attention, gla]"),
          Override("model.depth=3"), Override("optimizer.name=muon"),
        ]).resolved.utf8),
    ]
    let failures = Fuzzing("whole run file", .text, originals, cases: 200).run { bytes in
      var document = ConfigurationDocument(schemas: RunConfiguration.schemas)
      document.read(yaml: String(decoding: bytes, as: UTF8.self), named: "run.yaml")
      let run = try RunConfiguration(document)
      _ = (run.resolved, run.json.text)
      guard run.model.from == nil, run.model.depth <= 64 else { return }
      _ = LanguageModel(Architectures.make(run.model, vocabulary: 64)).table.count
    }
    #expect(failures == [])
  }
}
