import CommunicatorDoubles
import MessagePassing
import Tensors
import Testing

@testable import Training

@Suite("A sequence in segments")
struct SegmentTests {
  init() { BLAS.setThreads(1) }

  /// One way to cut and carry.
  struct Way: Sendable, CustomTestStringConvertible {
    var ranks = 1
    var data = 1
    var segments: Int
    var more: [String] = []
    var testDescription: String {
      "\(data)×\(ranks) ranks, \(segments) segments \(more.joined(separator: " "))"
    }
  }

  private static let models = [
    ["model.mixer=tnl"], ["model.mixer=retnet"], ["model.mixer=gla"], ["model.mixer=delta_net"],
    ["model.mixer=gated_deltanet"], ["model.mixer=transformer"],
    ["model.mixer=hgrn2"], ["model.mixer=lightnet"],
    ["model.mixer=mamba2", "model.mamba2.state_size=6"],
    ["model.mixer=gsa", "model.gsa.slots=6"],
    ["model.mixer=hgrn"], ["model.mixer=mamba", "model.mamba.state_size=3"],
    ["model.mixer=samba", "model.window=9", "model.samba.hidden_ratio=0.5"],
    ["model.mixer=transformer", "model.window=9"],
    ["model.layers=[gla, attention]"],
    ["model.layers=[gated_deltanet, attention]", "model.window=25"],
    ["model.layers=[mamba2, attention]", "model.mamba2.state_size=6", "model.window=25"],
    ["model.layers=[xlstm, attention]"],
    // What balance costs is of a micro-batch, so that it is another with another accumulation.
    ["model.mixer=minimax", "model.experts.balance=0"],
    ["model.layers=[bamba, attention]", "model.mamba2.state_size=6", "model.bamba.z_loss=0.01"],
    [
      "model.layers=[granitemoehybrid, attention]", "model.mamba2.state_size=6",
      "model.granitemoehybrid.residual_multiplier=0.5", "model.experts.balance=0",
    ],
    ["model.mixer=mom", "model.mom.balance=0"],
  ]

  private static let ways = [
    Way(segments: 2), Way(segments: 5), Way(segments: 61),
    Way(segments: 6, more: ["sequence.carry_bytes=0"]),
    Way(ranks: 2, segments: 3, more: ["parallel.attention=ring"]),
    Way(ranks: 3, segments: 4, more: ["sequence.carry_bytes=9000", "training.recompute=true"]),
    Way(ranks: 3, segments: 4, more: ["parallel.exchange=gather"]),
    Way(ranks: 3, segments: 2, more: ["parallel.exchange=scan", "training.accumulation=2"]),
    // Shards shorter than a convolution's halo, and empty ones.
    Way(ranks: 4, segments: 25, more: ["parallel.attention=ring"]),
    Way(ranks: 4, segments: 20, more: ["training.recompute=true"]),
    Way(ranks: 2, data: 2, segments: 3, more: ["sequence.carry_bytes=0"]),
    Way(ranks: 2, segments: 4, more: ["parallel.sharding=optimizer"]),
    Way(ranks: 3, segments: 3, more: ["parallel.sharding=gradients", "training.accumulation=2"]),
    Way(
      ranks: 2, data: 2, segments: 3,
      more: [
        "parallel.sharding=parameters", "sequence.carry_bytes=9000", "training.recompute=true",
      ]),
  ]

  /// What the first step gives on each rank: its loss, its gradient's norm, and the gradients of the
  /// parameters that its optimizer updates.
  private struct Step: Sendable {
    let loss, norm: Double
    let gradients: [(range: Range<Int>, numbers: [Float])]
  }

  /// Seed 1 draws a RetNet whose first tokens' outputs are nearly 0: there the norm of a head magnifies
  /// rounding, and any two ways to cut it, segments or not, differ by 1.1e-5.
  private func step(_ overrides: [String], ranks: Int) throws -> [Step] {
    let run = try SmallRun(overrides + ["training.seed=2"])
    return try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      let run = try run.make(on: world)
      let outcome = try run.step(0)
      try run.store.settle(polling: run.context.workspace.poll)
      return Step(
        loss: outcome.loss, norm: outcome.gradientNorm,
        gradients: run.store.updated.map {
          ($0.range, Array(UnsafeBufferPointer(start: $0.gradients, count: $0.range.count)))
        })
    }
  }

  private func check(_ model: [String], _ way: Way) throws {
    let whole = try step(model, ranks: 1)[0]
    let parts = try step(
      model + way.more + ["sequence.segments=\(way.segments)", "parallel.data=\(way.data)"],
      ranks: way.data * way.ranks)
    let gradient = whole.gradients[0].numbers
    func norm(_ numbers: some Sequence<Float>) -> Double {
      numbers.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
    }
    for (rank, part) in parts.enumerated() {
      #expect(abs(part.loss - whole.loss) < 1e-6 * whole.loss, "rank \(rank), \(way)")
      #expect(abs(part.norm - whole.norm) < 1e-5 * whole.norm, "rank \(rank), \(way)")
      #expect(!part.gradients.isEmpty)
      for (range, numbers) in part.gradients {
        let distance = norm(zip(numbers, gradient[range]).lazy.map { $0 - $1 })
        #expect(distance < 1e-5 * norm(gradient), "\(range) on rank \(rank), \(way)")
      }
    }
  }

  @Test("gives the loss and the gradients of the whole", arguments: models, ways)
  func exact(model: [String], way: Way) throws { try check(model, way) }

  @Test(
    "gives those of packed documents too",
    arguments: [
      ["model.mixer=gated_deltanet"], ["model.mixer=transformer"],
      ["model.mixer=mom", "model.mom.balance=0"],
    ], ways)
  func documents(model: [String], way: Way) throws {
    let file = try TextFile((0..<700).map { UInt8(($0 * $0 + $0 / 7) % 11) })
    try check(model + ["data.path=\(file.path)", "data.documents=3"], way)
  }

  @Test(
    "recomputes without sending, and sends what the dry run says", arguments: models,
    [
      ["sequence.segments=1"], ["sequence.segments=3"],
      ["sequence.segments=3", "parallel.attention=ring"],
      ["sequence.segments=3", "parallel.exchange=gather", "sequence.carry_bytes=9000"],
      ["sequence.segments=3", "parallel.exchange=scan", "sequence.carry_bytes=0"],
    ])
  func silent(model: [String], way: [String]) throws {
    let ranks = 3
    func sent(recomputing: Bool) throws -> [(messages: Int, bytes: Int)] {
      let run = try SmallRun(model + way + ["training.recompute=\(recomputing)"])
      let sent = try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
        let world = CountingCommunicator(world)
        let run = try run.make(on: world)
        let before = world.operations
        _ = try run.step(0)
        let counters = run.context.counters
        return (world.operations - before, counters.stateBytesSent + counters.haloBytesSent)
      }
      let setup = try RunSetup(run.configuration)
      for rank in 0..<ranks {
        let rehearsal = try setup.rehearsals(run.configuration, ranks: ranks).step(
          rank: rank, exchange: run.configuration.parallel.exchange.kind ?? .chain)
        #expect(rehearsal.stateBytes + rehearsal.haloBytes == sent[rank].1, "rank \(rank)")
      }
      return sent
    }
    let (once, again) = try (sent(recomputing: false), sent(recomputing: true))
    for rank in 0..<ranks { #expect(once[rank] == again[rank], "rank \(rank)") }
  }

  @Test("goes on from step to step like the whole", arguments: 1...3, [0, 1 << 20])
  func carried(ranks: Int, carryBytes: Int) throws {
    let file = try TextFile((0..<400).map { UInt8(($0 * $0 + $0 / 7) % 11) })
    func losses(_ more: String..., ranks: Int) throws -> [Double] {
      try SmallRun(
        [
          "data.path=\(file.path)", "data.carry=true", "sequence.length=20", "training.steps=6",
          "model.mixer=gated_deltanet",
        ] + more
      ).train(ranks: ranks)[0].losses
    }
    let whole = try losses(ranks: 1)
    let parts = try losses(
      "sequence.segments=4", "sequence.carry_bytes=\(carryBytes)", ranks: ranks)
    #expect(greatestDifference(parts, whole) < 1e-6)
  }
}
