import Checkpoints
import Configuration
import Foundation
import MessagePassing
import Models
import ReferenceMath
import SequenceParallel
import Tensors
import Testing
import Inference

/// A model folder written by independent code, with what it must compute.
struct Fixture: CustomTestStringConvertible, Sendable {
  let testDescription: String

  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Fixtures").path

  /// Every folder whose `model_type` this program knows.
  static let all: [Fixture] = {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
    return names.sorted().map { Fixture(testDescription: $0) }.filter { fixture in
      let configuration = try? JSONValue(file: fixture.file("config.json"))
      guard let type = configuration?["model_type"]?.string else { return false }
      return Architectures.all.contains { $0.modelTypes.contains(type) }
    }
  }()

  /// Those of hybrids of other makers.
  static let hybrids = all.filter { fixture in
    ["minimax", "bamba", "granitemoehybrid", "qwen3_next", "kimi_linear"].contains {
      fixture.testDescription.hasPrefix($0)
    }
  }

  /// Whether its tokens choose among experts or memories.
  var hasExperts: Bool {
    let keys = try? JSONValue(file: file("config.json"))
    if keys?["model_type"]?.string == "mom" { return true }
    return ["num_experts", "num_local_experts"].contains { (keys?[$0]?.integer ?? 0) > 0 }
  }

  /// A file of the folder, or the folder itself.
  func file(_ name: String = "") -> String { "\(Self.root)/\(testDescription)/\(name)" }
}

@Suite("Fixtures of other programs")
struct FixtureTests {
  init() { BLAS.setThreads(1) }

  @Test("There are fixtures of every model type that is known")
  func complete() throws {
    let types = try Fixture.all.map {
      try JSONValue(file: $0.file("config.json"))["model_type"]?.string
    }
    for architecture in Architectures.all {
      let has = types.contains { $0.map(architecture.modelTypes.contains) ?? false }
      #expect(has, "no fixture of \(architecture.modelType)")
    }
  }

  @Test(
    "Evaluation reproduces logits, loss and every gradient", arguments: Fixture.all, [1, 3, 4])
  func reproduces(fixture: Fixture, ranks: Int) throws {
    try compare(fixture, ranks: ranks)
  }

  @Test(
    "Hybrids of other makers do by every exchange, with empty shards", arguments: Fixture.hybrids,
    [(3, .gather), (3, .scan), (8, .chain), (8, .gather), (8, .scan)] as [(Int, ExchangeKind)])
  func exchanges(fixture: Fixture, way: (ranks: Int, exchange: ExchangeKind)) throws {
    try compare(fixture, ranks: way.ranks, exchange: way.exchange, attention: .ring)
  }

  @Test(
    "So do all where experts are dealt over ranks", arguments: Fixture.all.filter(\.hasExperts))
  func dealt(fixture: Fixture) throws {
    let experts = try #require(try ModelFolder(path: fixture.file()).model.experts)
    for size in 2...experts where experts % size == 0 {
      for exchange in [ExchangeKind.chain, .gather, .scan] {
        try compare(fixture, ranks: size, exchange: exchange, experts: size)
      }
      try compare(fixture, ranks: 2 * size, experts: size)
    }
  }

  private func compare(
    _ fixture: Fixture, ranks: Int, exchange: ExchangeKind = .chain,
    attention: AttentionExchange = .gather, experts: Int = 1
  ) throws {
    let output = NSTemporaryDirectory() + "lasp-\(UUID().uuidString).safetensors"
    defer { try? FileManager.default.removeItem(atPath: output) }
    let losses = try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      let evaluation = try TokenEvaluation(
        modelFolder: fixture.file(), gradients: true, exchange: exchange, attention: attention,
        experts: experts,
        world: world, workspace: Workspace())
      return try evaluation.run(tokens: fixture.file("tokens.safetensors"), output: output)
    }
    let expected = try SafetensorsFile(path: fixture.file("expected.safetensors"))
    let actual = try SafetensorsFile(path: output)
    #expect(Set(actual.tensors.map(\.name)) == Set(expected.tensors.map(\.name)))
    let gradients = try expected.tensors.filter { $0.name.hasPrefix("grad.") }
      .flatMap { try expected.readFloats($0.name) }
    let norm = gradients.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
    for tensor in expected.tensors {
      let right = try expected.readFloats(tensor.name)
      // Terms of a bias may cancel to next to nothing.
      let error = relativeError(
        try actual.readFloats(tensor.name), right.map(Double.init),
        normAtLeast: tensor.name.hasPrefix("grad.") ? 1e-3 * norm : 0)
      #expect(actual.tensor(tensor.name)?.shape == tensor.shape, "\(tensor.name)")
      // Where experts are dealt their rows are added up in another order.
      let limit = experts > 1 && tensor.name.hasPrefix("grad.") ? 5e-5 : 2e-5
      #expect(error <= limit, "\(tensor.name)")
    }
    #expect(losses.allSatisfy { $0 == losses[0] })
  }
}
