import Configuration
import Models
import ReferenceMath
import Tensors
import Testing

@Suite("Layers that learn from the attention they stand in for")
struct TransferTests {
  init() { BLAS.setThreads(1) }

  /// Models made of Transformers.
  static let linearised = ModelCase.pretrained.filter {
    (try? $0.model().architecture.transformer) != nil
  }

  /// A run of a case in which new weights alone are trained.
  private static func run(_ sample: ModelCase, length: Int = 23) throws -> ModelRun {
    var model = try sample.model()
    model.freeze(model.weightsOfTransformer)
    return try ModelRun(sample, model: model, rows: 2, length: length)
  }

  /// The whole loss, as a mean over positions, and gradients.
  private static func result(
    _ run: ModelRun, ranks: Int
  ) throws -> (loss: Double, gradients: [Float]) {
    // Rectified features may all vanish, and the logarithm of a weight has no slope there.
    let isRectified = run.sample.configuration["feature_map"]?.string == "relu"
    let results = try run.run(
      ranks: ranks,
      objective: AttentionTransfer(weight: 10, crossEntropy: isRectified ? 0 : 0.5))
    return (results.reduce(0) { $0 + $1.loss }, ModelRun.sum(results))
  }

  @Test("Any number of ranks gives the loss and the gradients of one", arguments: linearised)
  func ranks(sample: ModelCase) throws {
    let run = try Self.run(sample)
    let one = try Self.result(run, ranks: 1)
    #expect(one.loss > 0 && run.model.students > 0)
    for ranks in [2, 3, 8] {
      let found = try Self.result(run, ranks: ranks)
      #expect(abs(found.loss - one.loss) <= 2e-6 * one.loss, "\(ranks) ranks")
      #expect(
        relativeError(found.gradients, one.gradients.map(Double.init), normAtLeast: 1e-6) <= 2e-5,
        "\(ranks) ranks")
    }
  }

  @Test("Only what the Transformer does not have gets gradients", arguments: linearised)
  func frozen(sample: ModelCase) throws {
    let run = try Self.run(sample)
    let gradients = try Self.result(run, ranks: 2).gradients
    for entry in run.model.table.entries {
      let own = gradients[entry.range]
      #expect(entry.isTrainable || own.allSatisfy { $0 == 0 }, "\(entry.name)")
    }
    let trained = run.model.table.trainable.count
    #expect(trained == 0 || gradients.contains { $0 != 0 })
  }

  /// Those without rectified features, along whose kinks there is no slope.
  private static let smooth = linearised.filter { sample in
    !["t2r", "supra"].contains { sample.testDescription.hasPrefix($0) }
  }

  @Test("Gradients are slopes of the loss", arguments: smooth)
  func slopes(sample: ModelCase) throws {
    let run = try Self.run(sample)
    let table = run.model.table
    let gradients = try Self.result(run, ranks: 1).gradients
    var draws = Draws(seed: 5)
    for entry in table.entries where entry.isTrainable {
      // Along its own gradient and something random, so that the slope is not small.
      let own = gradients[entry.range]
      let norm = own.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
      guard norm > 1e-4 else { continue }
      let direction = own.map {
        Double($0) / norm + 0.3 * Double(draws.normals(1)[0]) / Double(own.count).squareRoot()
      }
      let slope = zip(own, direction).reduce(0) { $0 + Double($1.0) * $1.1 }
      func loss(_ step: Double) throws -> Double {
        var weights = run.weights
        for (index, d) in zip(entry.range, direction) { weights[index] += Float(step * d) }
        return try Self.result(run.with(weights), ranks: 1).loss
      }
      // Central differences of two widths: what they differ by is curvature.
      let (near, far) = (
        (try loss(1e-3) - loss(-1e-3)) / 2e-3, (try loss(2e-3) - loss(-2e-3)) / 4e-3
      )
      let found = (4 * near - far) / 3
      #expect(
        abs(found - slope) <= 1e-2 * abs(slope) + 1e-3, "\(entry.name): \(found), not \(slope)")
    }
  }

  @Test("LoLCATs in a window that covers the sequence is the attention itself", arguments: [1, 3])
  func covers(ranks: Int) throws {
    let sample = try #require(
      Self.linearised.first { $0.testDescription == "lolcats_plain" })
    var keys = try #require(sample.configuration.object)
    keys["attention_window"] = 64
    let model = LanguageModel(try Architectures.read(.object(keys)).architecture)
    let run = try ModelRun(sample, model: model, rows: 2, length: 23)
    let results = try run.run(ranks: ranks, objective: AttentionTransfer())
    #expect(results.reduce(0) { $0 + $1.loss } / Double(2 * 23) < 1e-8)
  }
}
