import Autodiff
import Checkpoints
import Configuration
import Foundation
import Inference
import MessagePassing
import ReferenceMath
import Tensors
import Testing

@Suite("Fixtures of other programs in mixed precision")
struct MixedFixtureTests {
  init() { BLAS.setThreads(1) }

  /// bf16 widened by OpenBLAS, and by oneDNN where it multiplies it.
  private static let settings: [ProductSettings] = [
    try? ProductSettings(.bf16, by: .openblas),
    OneDNN.hasBFloat16 ? try? ProductSettings(.bf16, by: .onednn) : nil,
  ].compactMap { $0 }

  /// Tensors of each fixture that no implementation computes to the tolerance, and how far float64 moves them when what is held
  /// in bf16 moves by 2⁻⁹ of itself.
  ///
  /// `Tests/Fixtures/conditions.py` wrote it.
  private static let conditions: [String: [String: Double]] = {
    let path = Fixture.all.first?.file("../conditions.json") ?? ""
    let cases = (try? JSONValue(file: path))?.object ?? [:]
    return cases.mapValues { ($0.object ?? [:]).compactMapValues(\.number) }
  }()

  /// Relative error of logits, and of a gradient over its norm or 1e-2 of all gradients' norm, whichever is larger.
  private static func tolerance(_ name: String) -> Double { name == "logits" ? 1e-2 : 2e-2 }

  @Test(
    "Evaluation gives logits to 1e-2 and every gradient to 2e-2, unless its listed condition is beyond",
    arguments: Fixture.all, settings)
  func reproduces(fixture: Fixture, settings: ProductSettings) throws {
    let output = NSTemporaryDirectory() + "lasp-\(UUID().uuidString).safetensors"
    defer { try? FileManager.default.removeItem(atPath: output) }
    // Experts are compared by the choices of fp32.
    let losses = try ThreadCommunicator.run(ranks: settings.widens ? 3 : 1, deadline: 60) { world in
      func evaluate(_ products: ProductSettings, _ routing: RoutingRecord) throws -> Double {
        var evaluation = try TokenEvaluation(
          modelFolder: fixture.file(), gradients: true, world: world,
          workspace: Workspace(products: products))
        evaluation.routing = routing
        return try evaluation.run(tokens: fixture.file("tokens.safetensors"), output: output)
      }
      let routing = RoutingRecord()
      if fixture.hasExperts { _ = try evaluate(.plain, routing) }
      if fixture.hasExperts { routing.replay() }
      return try evaluate(settings, routing)
    }
    #expect(losses.allSatisfy { $0 == losses[0] })
    let expected = try SafetensorsFile(path: fixture.file("expected.safetensors"))
    let actual = try SafetensorsFile(path: output)
    let gradients = try expected.tensors.filter { $0.name.hasPrefix("grad.") }
      .flatMap { try expected.readFloats($0.name) }
    let norm = gradients.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
    let conditions = Self.conditions[fixture.testDescription] ?? [:]
    for tensor in expected.tensors where tensor.name != "loss" {
      let error = relativeError(
        try actual.readFloats(tensor.name),
        try expected.readFloats(tensor.name).map(Double.init),
        normAtLeast: tensor.name.hasPrefix("grad.") ? 1e-2 * norm : 0)
      let bound = max(Self.tolerance(tensor.name), 2 * (conditions[tensor.name] ?? 0))
      #expect(error <= bound, "\(tensor.name)")
    }
  }

  @Test("Listed conditions are of tensors that there are, and beyond the tolerance")
  func lists() throws {
    #expect(!Self.conditions.isEmpty)
    let fixtures = Dictionary(uniqueKeysWithValues: Fixture.all.map { ($0.testDescription, $0) })
    for (name, tensors) in Self.conditions {
      let fixture = try #require(fixtures[name], "\(name)")
      let file = try SafetensorsFile(path: fixture.file("expected.safetensors"))
      for (tensor, condition) in tensors {
        #expect(file.tensor(tensor) != nil, "\(name): \(tensor)")
        #expect(2 * condition > Self.tolerance(tensor), "\(name): \(tensor)")
      }
    }
  }
}
