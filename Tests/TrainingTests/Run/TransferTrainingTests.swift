import MessagePassing
import Tensors
import Testing

@testable import Training

@Suite("Training layers to give what attention gives")
struct TransferTrainingTests {
  init() { BLAS.setThreads(1) }

  private static let keys = [
    "model.mixer=hedgehog", "linearise.stage=transfer", "linearise.squares=10",
    "linearise.cross_entropy=0.5", "training.steps=4", "optimizer.learning_rate=1e-2",
    "model.init_std=0.5", "parallel.bucket_bytes=2000",
  ]

  @Test(
    "Losses of outputs and of weights are those of one rank, on any grid, in segments, in any sharding",
    arguments: [
      (3, []), (8, []), (4, ["parallel.data=2"]), (2, ["sequence.segments=3"]),
      (1, ["sequence.segments=4", "sequence.carry_bytes=0"]),
      (3, ["sequence.segments=3", "sequence.carry_bytes=0", "parallel.attention=ring"]),
      (2, ["training.accumulation=2"]), (3, ["parallel.attention=ring"]),
      (3, ["parallel.sharding=parameters", "sequence.segments=2"]),
    ] as [(Int, [String])])
  func grids(ranks: Int, more: [String]) throws {
    let one = try SmallRun(Self.keys).train(ranks: 1)[0]
    for result in try SmallRun(Self.keys + more).train(ranks: ranks) {
      #expect(greatestDifference(result.losses, one.losses) < 1e-5)
      #expect(greatestDifference(result.norms, one.norms) < 1e-4)
    }
  }

  @Test("Keys of earlier steps are compared, too, where states are carried", arguments: [1, 3])
  func carry(ranks: Int) throws {
    let file = try TextFile((0..<300).map { UInt8(($0 * $0 + $0 / 7) % 11) })
    let keys =
      Self.keys + [
        "data.path=\(file.path)", "data.carry=true", "data.held_out=0", "training.batch=2",
        "optimizer.learning_rate=1e-12",
      ]
    // Six windows of 11 tokens are one of 66.
    let whole = try SmallRun(keys + ["sequence.length=66", "training.steps=1"]).train(ranks: 1)[0]
    let parts = try SmallRun(keys + ["sequence.length=11", "training.steps=6"])
      .train(ranks: ranks)[0]
    let mean = parts.losses.reduce(0, +) / 6
    #expect(abs(mean - whole.losses[0]) < 1e-5 * mean)
  }

  @Test("Weights are not compared where no layer has learned features")
  func refused() throws {
    let liger = try SmallRun(Self.keys + ["model.mixer=liger_gla"]).configuration
    #expect {
      _ = try RunSetup(liger)
    } throws: {
      "\($0)".contains(
        "linearise.cross_entropy: no layer of the model has weights of learned features")
    }
  }

  @Test("The dry run counts what comparing weights takes")
  func plan() throws {
    func operations(_ factor: Double) throws -> Double {
      let run = try SmallRun(Self.keys + ["linearise.cross_entropy=\(factor)"])
      let model = try RunSetup(run.configuration).model
      let transfer = try #require(run.configuration.linearise.transfer)
      return model.teacherOperations(sequences: 4, length: 61, by: transfer)
    }
    // Two layers of two heads of 8 numbers and 16 features each.
    let pairs = Double(4 * 61 * 62 / 2)
    let attention = 2 * 2 * pairs * 4 * 8
    #expect(try operations(0) == attention)
    #expect(try operations(1) == attention + 2 * 2 * pairs * Double(6 * 8 + 10 * 16))
  }

  @Test("What a rank holds of keys that come by does not grow with the ranks")
  func memory() throws {
    func peak(_ ranks: Int) throws -> Int {
      let run = try SmallRun(
        Self.keys + [
          "linearise.squares=0", "sequence.length=\(2048 * ranks)", "training.batch=1",
          "parallel.attention=ring",
        ])
      let setup = try RunSetup(run.configuration)
      return try setup.rehearsals(run.configuration, ranks: ranks)
        .step(rank: ranks / 2, exchange: .chain).poolBytes
    }
    let (few, many) = (try peak(4), try peak(32))
    #expect(Double(many) < 1.1 * Double(few))
  }
}
