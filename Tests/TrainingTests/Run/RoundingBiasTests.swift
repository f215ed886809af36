import MessagePassing
import Models
import Tensors
import Testing

@testable import Training

@Suite("Rounding in mixed precision")
struct RoundingBiasTests {
  init() { BLAS.setThreads(1) }

  private static let batches = 64

  /// The mean gradient over all parameters of as many batches, of weights that stay as the seed gives them, or as they are
  /// when each is moved by 2⁻⁹ of itself at most.
  private func meanGradient(_ keys: [String], moved seed: UInt64? = nil) throws -> [Double] {
    // A rate at which no weight changes.
    let small = try SmallRun(
      keys + ["optimizer.clip=0", "optimizer.learning_rate=1e-30"], steps: Self.batches, rate: nil)
    return try ThreadCommunicator.run(ranks: 1, deadline: 60) { world in
      let run = try small.make(on: world)
      if let seed {
        let random = Random(seed: seed, purpose: 12)
        for part in run.store.kept {
          for (i, index) in part.range.enumerated() {
            let way = 2 * random.uniform(at: UInt64(index)) - 1
            part.values[i] *= Float(1 + 0x1p-9 * way)
          }
        }
      }
      let before = run.weights
      var sum = [Double](repeating: 0, count: run.model.table.count)
      for step in 0..<Self.batches {
        _ = try run.step(step)
        for part in run.store.updated {
          for (i, index) in part.range.enumerated() { sum[index] += Double(part.gradients[i]) }
        }
      }
      #expect(zip(run.weights, before).allSatisfy { abs($0 - $1) < 1e-20 })
      return sum.map { $0 / Double(Self.batches) }
    }[0]
  }

  /// How long what is added to a gradient is along it, over its length; and whether anything is.
  private func projection(
    of other: [Double], on exact: [Double]
  ) -> (along: Double, isChanged: Bool) {
    var (along, norm) = (0.0, 0.0)
    for (right, other) in zip(exact, other) {
      along += (other - right) * right
      norm += right * right
    }
    return (along / norm, exact != other)
  }

  private static let mixed = ["training.precision=bf16", "training.products=openblas"]

  @Test(
    "has no side: the mean error of 64 batches lies less than 2e-3 along the gradient",
    arguments: ["tnl", "gla", "gated_deltanet", "transformer"])
  func unbiased(mixer: String) throws {
    // Heads as wide as in use: what narrow ones give for a token may be next to nothing before it is normalised, which
    // magnifies what rounding does to one set of weights, this way or that.
    let keys = ["model.mixer=\(mixer)", "model.dimension=128"]
    let exact = try meanGradient(keys)
    let (along, isChanged) = projection(of: try meanGradient(keys + Self.mixed), on: exact)
    #expect(isChanged)
    #expect(abs(along) < 2e-3)
  }

  /// Mixers that normalise what a head gives for a token, next to nothing as it may be: the gradient in fp32 moves as far
  /// along itself when weights move by what bf16 rounds them by.
  private static let exceptions: Set = ["gateloop", "gla", "hgrn2", "rebased", "retnet"]

  @Test(
    "has no side in any mixer, as run files draw its weights, or no more than moved weights in fp32",
    arguments: ModelSection.mixers)
  func unbiasedAnywhere(mixer: String) throws {
    let keys = [
      "model.mixer=\(mixer)", "model.dimension=128", "model.init_std=0.02", "training.batch=1",
    ]
    let exact = try meanGradient(keys)
    let (along, isChanged) = projection(of: try meanGradient(keys + Self.mixed), on: exact)
    #expect(isChanged)
    var bound = 2e-3
    if Self.exceptions.contains(mixer) {
      for seed in 0..<4 as Range<UInt64> {
        let moved = projection(of: try meanGradient(keys, moved: seed), on: exact).along
        bound = max(bound, 2 * abs(moved))
      }
    }
    #expect(abs(along) < bound)
  }
}
