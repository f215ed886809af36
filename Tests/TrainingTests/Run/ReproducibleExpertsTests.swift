import MessagePassing
import Tensors
import Testing

@testable import Training

/// With `parallel.reproducible`, how experts are dealt over ranks changes no bit.
@Suite("Reproducible training of dealt experts")
struct ReproducibleExpertsTests {
  init() { BLAS.setThreads(1) }

  /// What a run gave, over all ranks.
  private struct Bits: Equatable {
    /// Losses, gradient norms and terms of all steps.
    var figures: [Double] = []
    /// All weights.
    var weights: [Float] = []
  }

  /// Trains on processes that are threads here.
  ///
  /// - Parameter prepare: Changes weights before the first step.
  private func train(
    _ keys: [String], experts: Int, processes: Int,
    prepare: @Sendable (TrainingRun) -> Void
  ) throws -> Bits {
    let steps = 3
    let small = try SmallRun(keys + ["parallel.experts=\(experts)"], steps: steps)
    let ranks = try small.configuration.virtualRanks(processes: processes)
    let all = try ThreadCommunicator.run(ranks: processes, deadline: 120) { process in
      try process.run(virtualRanks: ranks) { world in
        let run = try small.make(on: world)
        prepare(run)
        var sent = 0
        let figures = try (0..<steps).flatMap { step in
          run.context.counters.reset()
          let outcome = try run.step(step)
          sent += run.context.counters.expertBytesSent
          return [outcome.loss, outcome.gradientNorm] + outcome.sums.terms.map(outcome.sums.mean)
        }
        try run.store.settle(polling: run.context.workspace.poll)
        let kept = run.store.kept.map {
          ($0.range, Array(UnsafeBufferPointer(start: $0.values, count: $0.range.count)))
        }
        return (figures: figures, kept: kept, count: run.model.table.count, sent: sent)
      }
    }.flatMap { $0 }
    #expect((all.reduce(0) { $0 + $1.sent } > 0) == (experts > 1))
    var weights = [Float?](repeating: nil, count: all[0].count)
    for rank in all {
      #expect(rank.figures == all[0].figures)
      for (range, numbers) in rank.kept {
        for (place, number) in zip(range, numbers) {
          #expect(weights[place] == nil || weights[place] == number)
          weights[place] = number
        }
      }
    }
    return Bits(figures: all[0].figures, weights: weights.compactMap { $0 })
  }

  /// Compares runs of all ways to deal experts, each on another number of processes.
  private func check(
    _ keys: [String], ranks: Int = 4, experts sizes: [Int] = [1, 2, 4],
    prepare: @Sendable (TrainingRun) -> Void = { _ in }
  ) throws {
    // Norms that are cut off scale all updates.
    let keys = DealtExpertsTests.experts + ["optimizer.clip=0.5"] + keys
    let processes = (1...ranks).filter { ranks % $0 == 0 }
    let right = try train(keys, experts: 1, processes: 1, prepare: prepare)
    #expect(right.figures.allSatisfy(\.isFinite) && Set(right.figures).count > 3)
    for (index, size) in sizes.enumerated() {
      let other = try train(
        keys, experts: size, processes: processes[(index + 1) % processes.count],
        prepare: prepare)
      #expect(other.weights.count == right.weights.count)
      #expect(other == right, "parallel.experts=\(size)")
    }
  }

  @Test(
    "In whatever order ranks exchange, recompute, accumulate and cut, and with all optimizers",
    arguments: [
      [], ["parallel.exchange=scan", "training.recompute=true"],
      ["parallel.exchange=gather", "training.accumulation=2"], ["optimizer.name=muon"],
      ["parallel.sharding=optimizer", "training.accumulation=2"],
      ["parallel.sharding=gradients", "training.accumulation=2"],
      ["parallel.sharding=parameters", "training.accumulation=2", "training.recompute=true"],
      ["parallel.sharding=gradients", "optimizer.name=muon"],
      ["model.experts.capacity=1", "model.init_std=0.8"], ["model.experts.active=8"],
      ["model.experts.score=sigmoid", "model.experts.bias_update=0.02", "model.experts.balance=0"],
      ["training.precision=bf16"],
      ["training.precision=bf16", "parallel.sharding=gradients", "training.accumulation=2"],
      ["model.mixer=gated_deltanet"], ["model.mixer=tnl", "model.experts.shared_gate=false"],
    ])
  func ways(keys: [String]) throws { try check(keys + ["parallel.reproducible=4"]) }

  @Test("On eight virtual ranks, of one sequence or of several")
  func eight() throws {
    let sizes = [1, 2, 4, 8]
    try check(["parallel.reproducible=8"], ranks: 8, experts: sizes)
    try check(["parallel.reproducible=4", "parallel.data=2"], ranks: 8, experts: sizes)
    try check(
      ["parallel.reproducible=2", "parallel.data=4", "parallel.sharding=parameters"], ranks: 8,
      experts: sizes)
  }

  @Test("On other numbers of virtual ranks, over powers of two of them, and over all")
  func others() throws {
    let six = ["model.experts.count=6"]
    try check(six + ["parallel.reproducible=6"], ranks: 6, experts: [2, 6])
    try check(six + ["parallel.reproducible=3"], ranks: 3, experts: [1, 3])
    try check(
      six + ["parallel.reproducible=3", "parallel.data=2", "parallel.sharding=gradients"], ranks: 6,
      experts: [2, 6])
  }

  @Test(
    "In segments",
    arguments: [
      [], ["sequence.carry_bytes=0", "training.recompute=true"],
      ["parallel.sharding=gradients", "training.accumulation=2"],
      ["parallel.sharding=parameters", "training.precision=bf16"], ["model.experts.capacity=1"],
    ])
  func segments(keys: [String]) throws {
    try check(keys + ["parallel.reproducible=4", "sequence.segments=3"])
  }

  @Test("With packed documents, with states that are carried, and with ranks that have no tokens")
  func documents() throws {
    let file = try TextFile((0..<1400).map { UInt8(($0 * $0 + $0 / 7) % 11) })
    let text = ["data.path=\(file.path)", "data.held_out=0", "parallel.reproducible=4"]
    try check(text + ["data.documents=3"])
    try check(text + ["data.documents=3", "sequence.segments=3", "parallel.sharding=gradients"])
    try check(text + ["data.carry=true", "sequence.length=31"])
    try check(text + ["sequence.length=3", "training.batch=2"])
  }

  @Test("With so many rows that products are formed in parts", arguments: ["fp32", "bf16"])
  func large(precision: String) throws {
    try check(
      [
        "model.dimension=64", "model.experts.width=96", "sequence.length=700",
        "parallel.reproducible=2", "parallel.data=2", "training.precision=\(precision)",
        "model.depth=1",
      ])
  }

  @Test("In Transformers", arguments: ["mixtral", "qwen2_moe", "qwen3_moe"])
  func transformers(mixer: String) throws {
    // Layers of these have no gate of a run file's.
    let keys = ["model.mixer=\(mixer)", "model.experts.count=4", "model.init_std=0.3"]
    let all = keys + ["parallel.reproducible=4", "optimizer.clip=0.5"]
    let right = try train(all, experts: 1, processes: 1) { _ in }
    for size in [2, 4] {
      #expect(try train(all, experts: size, processes: 2) { _ in } == right)
    }
  }

  @Test(
    "With adapters of experts, or of some of them",
    arguments: [
      "[gate_proj, down_proj, q_proj]", "[experts.0.gate_proj, experts.5.up_proj]",
    ])
  func adapters(targets: String) throws {
    for more in [
      ["lora.modules_to_save=[gate]"], ["parallel.sharding=gradients", "training.accumulation=2"],
      ["training.precision=bf16"],
    ] {
      let lora = ["lora.targets=\(targets)", "lora.rank=3"]
      // B begins at zero, and with it every gradient of A.
      try check(lora + more + ["parallel.reproducible=4"]) { run in
        for part in run.store.kept {
          for entry in run.model.table.entries where entry.isAdapter {
            for place in entry.range.clamped(to: part.range) {
              part.values[place - part.range.lowerBound] = Float((place * 7919) % 97) / 97 - 0.5
            }
          }
        }
      }
    }
  }

  @Test("With experts of which some, or all, are frozen")
  func frozen() throws {
    for pattern in ["*experts.0.*", "*mlp.experts.*"] {
      try check(
        [
          "optimizer.groups=[{pattern: \"\(pattern)\", frozen: true}]", "parallel.reproducible=4",
          "parallel.sharding=gradients",
        ])
    }
  }

  @Test("A dry run knows what sums that are kept apart take")
  func memory() throws {
    for sharding in ["none", "gradients"] {
      let small = try SmallRun(
        DealtExpertsTests.experts + [
          "model.experts.active=8", "model.dimension=64", "model.experts.width=96",
          "sequence.length=64", "parallel.experts=2", "parallel.reproducible=4",
          "parallel.sharding=\(sharding)",
        ], steps: 3)
      let real = try ThreadCommunicator.run(ranks: 1, deadline: 60) { process in
        try process.run(virtualRanks: 4) { world in
          let run = try small.make(on: world)
          for step in 0..<3 { _ = try run.step(step) }
          try run.store.settle(polling: run.context.workspace.poll)
          return run.context.workspace.pool.statistics.peak
        }
      }[0]
      let rehearsals = try RunSetup(small.configuration).rehearsals(small.configuration, ranks: 4)
      for (rank, peak) in real.enumerated() {
        let step = try rehearsals.step(rank: rank, exchange: .chain)
        #expect(abs(Double(step.peakByKind.reduce(0, +)) / Double(peak) - 1) < 0.05)
      }
    }
  }

  @Test(
    "What would have other bits is refused",
    arguments: [
      (
        ["model.experts.count=6", "parallel.reproducible=6", "parallel.experts=3"],
        "choose a power of two, or 6"
      ),
      (
        ["parallel.reproducible=4", "parallel.experts=2", "parallel.transport=bf16"],
        "rounds what ranks send and not what a rank keeps"
      ),
    ])
  func refused(keys: [String], words: String) throws {
    let small = try SmallRun(DealtExpertsTests.experts + keys)
    let error = #expect(throws: (any Error).self) {
      _ = try Plan(small.configuration, processes: 1)
    }
    #expect("\(try #require(error))".contains(words))
  }
}
