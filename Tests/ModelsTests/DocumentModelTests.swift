import Configuration
import Models
import ReferenceMath
import Tensors
import Testing

@Suite("Documents in one row, and the same documents alone")
struct DocumentModelTests {
  init() { BLAS.setThreads(1) }

  /// Models with experts, with memories, and hybrids; without loss terms that are means over what is processed at once.
  static let samples = ModelCase.fixtures.filter { sample in
    let families = [
      "mixtral", "qwen2_moe", "qwen3_moe", "minimax", "qwen3_next", "bamba", "granite", "kimi",
      "mom",
    ]
    let name = sample.testDescription
    return name.hasSuffix("experts") || families.contains { name.hasPrefix($0) }
  }.map { $0.changing(withoutMeans) }

  private static let withoutMeans: [String: JSONValue] = [
    "output_router_logits": false, "router_aux_loss_coef": 0, "router_z_loss_coef": 0,
    "z_loss_coefficient": 0, "aux_loss_scale": 0,
  ]

  /// Lengths of documents: a token alone, shorter and longer than a window, a convolution or a shard.
  private static let rows = [[7, 1, 23, 2, 10], [29, 5, 3, 3, 3]]

  @Test(
    "Logits are those of each document alone, and losses and all gradients the sums of theirs",
    arguments: samples, [1, 3, 8])
  func alone(sample: ModelCase, ranks: Int) throws {
    let packed = try ModelRun(sample, documents: Self.rows)
    let expected = try packed.expectedOfDocumentsAlone()
    let results = try packed.run(ranks: ranks)
    for (rank, result) in results.enumerated() {
      let error = packed.logitsError(result, expected, rank: rank, ranks: ranks)
      #expect(error <= 2e-5, "logits of rank \(rank) of \(ranks)")
    }
    let loss = results.reduce(0) { $0 + $1.loss }
    #expect(abs(loss - expected.loss) <= 1e-6 * expected.loss)
    #expect(packed.wrongGradients(ModelRun.sum(results), expected, tolerance: 2e-5) == [:])
  }
}
