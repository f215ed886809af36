import MessagePassing
import Tensors
import Testing

@testable import Training

@Suite("Rounding in mixed precision")
struct RoundingBiasTests {
  init() { BLAS.setThreads(1) }

  /// The mean gradient over all parameters of as many batches, of weights that stay as the seed gives them.
  private func meanGradient(_ keys: [String], batches: Int) throws -> [Double] {
    // A rate at which no weight changes.
    let small = try SmallRun(
      keys + ["optimizer.clip=0", "optimizer.learning_rate=1e-30"], steps: batches, rate: nil)
    return try ThreadCommunicator.run(ranks: 1, deadline: 60) { world in
      let run = try small.make(on: world)
      let before = run.weights
      var sum = [Double](repeating: 0, count: run.model.table.count)
      for step in 0..<batches {
        _ = try run.step(step)
        for part in run.store.updated {
          for (i, index) in part.range.enumerated() { sum[index] += Double(part.gradients[i]) }
        }
      }
      #expect(zip(run.weights, before).allSatisfy { abs($0 - $1) < 1e-20 })
      return sum.map { $0 / Double(batches) }
    }[0]
  }

  @Test(
    "has no side: the mean error of 64 batches lies less than 2e-3 along the gradient",
    arguments: ["tnl", "gla", "gated_deltanet", "transformer"])
  func unbiased(mixer: String) throws {
    // Heads as wide as in use: what narrow ones give for a token may be next to nothing before it is normalised, which
    // magnifies what rounding does to one set of weights, this way or that.
    let keys = ["model.mixer=\(mixer)", "model.dimension=128"]
    let exact = try meanGradient(keys, batches: 64)
    let mixed = try meanGradient(
      keys + ["training.precision=bf16", "training.products=openblas"], batches: 64)
    var (along, norm, error) = (0.0, 0.0, 0.0)
    for (right, rounded) in zip(exact, mixed) {
      along += (rounded - right) * right
      error += (rounded - right) * (rounded - right)
      norm += right * right
    }
    #expect(error > 0)
    #expect(abs(along) < 2e-3 * norm)
  }
}
