import DataParallel
import MessagePassing
import Models
import Tensors
import Testing

@testable import Training

/// Experts that are dealt over ranks beside everything else that a run may have.
@Suite("Dealt experts, with one rank's losses and gradients")
struct DealtExpertsWaysTests {
  init() { BLAS.setThreads(1) }

  /// A grid, and what else may change nothing.
  struct Way: Sendable, CustomTestStringConvertible {
    var ranks: Int
    var experts: Int
    var keys: [String]
    init(_ ranks: Int, experts: Int, _ keys: String...) {
      (self.ranks, self.experts, self.keys) = (ranks, experts, keys)
    }
    var overrides: [String] { keys + ["parallel.experts=\(experts)", "optimizer.clip=0"] }
    var testDescription: String { "\(ranks) ranks \(overrides.joined(separator: " "))" }
  }

  /// Grids whose groups of experts lie within sequences, across them, and across both.
  private static let ways = [
    Way(2, experts: 2), Way(4, experts: 4, "parallel.data=2", "parallel.exchange=scan"),
    Way(8, experts: 8, "parallel.data=4", "parallel.sharding=gradients"),
    Way(4, experts: 2, "training.recompute=true", "parallel.sharding=parameters"),
    Way(3, experts: 1, "parallel.exchange=gather"),
  ]
  private static let inSegments = [
    Way(2, experts: 2), Way(4, experts: 4, "parallel.data=2", "training.recompute=true"),
    Way(4, experts: 4, "sequence.carry_bytes=0", "parallel.exchange=gather"),
    Way(4, experts: 2, "training.recompute=true", "parallel.sharding=parameters"),
  ]

  /// Compares a run of these ranks with that of one.
  private func check(
    _ model: [String], _ way: Way, steps: Int = 1,
    prepare: @Sendable (TrainingRun) -> Void = { _ in }
  ) throws {
    // Weights stay as they are: what steps hand on is seen alone.
    let keys =
      DealtExpertsTests.experts + ["optimizer.clip=0", "optimizer.learning_rate=1e-12"] + model
    let alone = try SmallRun(keys, steps: steps)
    let right = try alone.gradients(ranks: 1, prepare: prepare)
    let dealt = try SmallRun(keys + way.overrides, steps: steps).gradients(
      ranks: way.ranks, prepare: prepare)
    #expect((dealt.sent > 0) == (way.experts > 1))
    try dealt.check(right, RunSetup(alone.configuration).model.table) {
      try (2...4).map { try alone.gradients(ranks: $0, prepare: prepare) }
    }
  }

  private static func text() throws -> TextFile {
    try TextFile((0..<1400).map { UInt8(($0 * $0 + $0 / 7) % 11) })
  }

  @Test("Packed documents", arguments: ways, [[], ["model.mixer=gated_deltanet"]])
  func documents(way: Way, more: [String]) throws {
    let file = try Self.text()
    let keys = ["data.path=\(file.path)", "data.documents=3", "data.held_out=0"] + more
    try check(keys, way)
  }

  @Test("Documents in segments", arguments: inSegments)
  func documentsInSegments(way: Way) throws {
    let file = try Self.text()
    try check(
      ["data.path=\(file.path)", "data.documents=3", "data.held_out=0", "sequence.segments=3"], way)
  }

  @Test("States that are carried from step to step", arguments: ways + inSegments)
  func carried(way: Way) throws {
    let file = try Self.text()
    let keys = [
      "data.path=\(file.path)", "data.carry=true", "data.held_out=0", "sequence.length=31",
    ]
    try check(keys, way, steps: 3)
    try check(keys + ["sequence.segments=4", "data.documents=3"], way, steps: 3)
  }

  @Test("Adapters of experts, with the router frozen or trained", arguments: ways, [false, true])
  func adapters(way: Way, trainsRouter: Bool) throws {
    let router = trainsRouter ? ["lora.modules_to_save=[gate]"] : []
    // B begins at zero, and with it every gradient of A.
    try check(["lora.targets=[gate_proj, down_proj, q_proj]", "lora.rank=3"] + router, way) { run in
      for part in run.store.kept {
        for entry in run.model.table.entries where entry.isAdapter {
          for place in entry.range.clamped(to: part.range) {
            part.values[place - part.range.lowerBound] = Float((place * 7919) % 97) / 97 - 0.5
          }
        }
      }
    }
  }

  @Test("Weights of which some experts', or all, are frozen", arguments: ways)
  func frozen(way: Way) throws {
    for pattern in ["*experts.0.*", "*mlp.experts.*", "*mlp.gate*", "*lm_head*"] {
      try check(["optimizer.groups=[{pattern: \"\(pattern)\", frozen: true}]"], way)
    }
  }

  @Test("Sequences that are shorter than the ranks, and ranks to which nobody comes")
  func empty() throws {
    let file = try Self.text()
    for length in [2, 3, 5] {
      for segments in Set([1, min(length, 2)]) {
        let keys = [
          "data.path=\(file.path)", "data.held_out=0", "sequence.length=\(length)",
          "sequence.segments=\(segments)", "training.batch=2",
        ]
        try check(keys, Way(8, experts: 4, "training.recompute=true"))
        try check(keys, Way(8, experts: 8))
      }
    }
  }

  @Test("A capacity, whose drops are the same", arguments: ways)
  func capacity(way: Way) throws {
    try check(["model.experts.capacity=1", "model.init_std=0.8"], way)
    try check(["model.experts.capacity=1.25", "training.accumulation=1"], way)
  }

  @Test("A capacity in segments", arguments: inSegments)
  func capacityInSegments(way: Way) throws {
    try check(["model.experts.capacity=1", "sequence.segments=3"], way)
  }

  @Test(
    "Accumulation",
    arguments: [
      Way(2, experts: 2), Way(4, experts: 4, "parallel.data=2"),
      Way(4, experts: 2, "parallel.data=2", "parallel.sharding=parameters"),
      Way(4, experts: 4, "training.recompute=true", "parallel.sharding=gradients"),
    ])
  func accumulation(way: Way) throws {
    try check(["training.accumulation=2", "model.experts.capacity=1"], way)
    try check(["training.accumulation=2", "sequence.segments=2"], way)
  }

  @Test(
    "Experts of every kind of model",
    arguments: [
      ["model.mixer=rwkv7"], ["model.mixer=mamba2"], ["model.mixer=xlstm"], ["model.mixer=samba"],
      ["model.mixer=tnl"],
    ])
  func skeletons(model: [String]) throws {
    for way in Self.ways.prefix(2) {
      try check(model + ["model.experts.shared_gate=false"], way)
    }
  }

  @Test("One expert, and all of them, for each token")
  func extremes() throws {
    for active in [1, 8] {
      for way in Self.ways { try check(["model.experts.active=\(active)"], way) }
    }
    try check(["model.experts.count=1", "model.experts.active=1"], Way(3, experts: 1))
  }
}
