import Autodiff
import CommunicatorDoubles
import DataParallel
import Foundation
import MessagePassing
import Models
import Tensors
import Testing

@testable import Training

@Suite("Training of experts that are dealt over ranks")
struct DealtExpertsTests {
  init() { BLAS.setThreads(1) }

  static let experts = [
    "model.mixer=gla", "model.channels=experts", "model.experts.count=8",
    "model.experts.active=2", "model.experts.width=12", "model.experts.shared_width=8",
    "model.experts.shared_gate=true", "model.experts.balance=0.1", "model.experts.z_loss=0.01",
    "model.init_std=0.3",
  ]

  /// What a step gave.
  private struct Step: Sendable {
    var loss, norm: Double
    var terms: [Double]
    /// What all tokens of the batch chose.
    var decisions: RoutingDecisions
  }

  /// Trains on ranks that are threads.
  ///
  /// - Parameter prepare: Changes weights before the first step.
  private func train(
    _ overrides: [String], ranks: Int, steps: Int,
    prepare: @Sendable (TrainingRun) -> Void = { _ in }
  ) throws -> [Step] {
    let small = try SmallRun(Self.experts + overrides, steps: steps)
    let all = try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      let run = try small.make(on: world)
      prepare(run)
      let record = RoutingRecord()
      run.routing = record
      let seen = try (0..<steps).map { step in
        record.clear()
        let outcome = try run.step(step)
        return Step(
          loss: outcome.loss, norm: outcome.gradientNorm,
          terms: outcome.sums.terms.map(outcome.sums.mean), decisions: run.decisions(record))
      }
      try run.store.settle(polling: run.context.workspace.poll)
      return seen
    }
    return (0..<steps).map { step in
      var sum = all[0][step]
      for other in all {
        #expect(other[step].loss == sum.loss && other[step].norm == sum.norm)
      }
      sum.decisions = RoutingDecisions(ofRanks: all.map { $0[step].decisions })
      return sum
    }
  }

  /// Compares 50 steps with those of one rank: to 1e-5 until the first token that chooses otherwise, where experts were as
  /// good to 1e-5, and to 1e-3 from then on.
  ///
  /// - Returns: Where decisions part; nil for nowhere.
  private func compareCurves(
    _ overrides: [String], ranks: Int, prepare: @Sendable (TrainingRun) -> Void = { _ in }
  ) throws -> RoutingDecisions.Parting? {
    // What the model is, and what it is trained on.
    let alike = overrides.filter { !$0.hasPrefix("parallel") && !$0.hasPrefix("sequence.segments") }
    let right = try train(alike, ranks: 1, steps: 50, prepare: prepare)
    let dealt = try train(overrides, ranks: ranks, steps: 50, prepare: prepare)
    let parting = RoutingDecisions.parting(right.map(\.decisions), dealt.map(\.decisions))
    if let parting {
      let losses = zip(right, dealt).map { abs($0.loss - $1.loss) / $0.loss }
      let (before, after) = (losses[..<parting.step].max() ?? 0, losses[parting.step...].max() ?? 0)
      print(
        "decisions of \(ranks) ranks, \(overrides), part at \(parting); losses by \(before) before, \(after) after"
      )
      #expect(parting.margin < 1e-5, "\(parting)")
    }
    let same = parting?.step ?? 50
    var undealt: [[Step]]?
    for (step, (one, other)) in zip(right, dealt).enumerated() {
      let limit = step < same ? 1e-5 : 1e-3
      #expect(abs(one.loss - other.loss) <= limit * one.loss, "step \(step) of \(same)")
      guard step < same else { continue }
      if abs(one.norm - other.norm) > 1e-4 * one.norm {
        // In a step whose norm hangs on rounding, those of grids whose ranks have all experts part as well.
        let grids =
          try undealt ?? (2...4).map { try train(alike, ranks: $0, steps: 50, prepare: prepare) }
        undealt = grids
        let usual = grids.map { abs(one.norm - $0[step].norm) }.reduce(0, max)
        #expect(abs(one.norm - other.norm) <= 2 * usual, "step \(step) of \(same)")
      }
      for (a, b) in zip(one.terms, other.terms) { #expect(abs(a - b) <= limit * abs(a)) }
    }
    return parting
  }

  @Test(
    "Losses of 50 steps are those of one rank, on any grid and however experts are dealt",
    arguments: [
      (1, 2, []), (1, 3, ["sequence.segments=3"]), (1, 8, ["parallel.data=4"]), (2, 2, []),
      (2, 4, ["parallel.data=2"]), (4, 4, ["parallel.data=4"]),
      (4, 8, ["parallel.data=2", "parallel.exchange=gather"]), (8, 8, []),
      (2, 4, ["parallel.exchange=scan", "sequence.segments=2"]),
      (4, 4, ["parallel.sharding=optimizer"]),
      (2, 4, ["parallel.sharding=gradients", "training.accumulation=2"]),
      (2, 8, ["parallel.sharding=parameters", "parallel.data=4", "training.recompute=true"]),
      (2, 2, ["sequence.segments=3", "sequence.carry_bytes=0", "training.recompute=true"]),
    ] as [(Int, Int, [String])])
  func losses(size: Int, ranks: Int, overrides: [String]) throws {
    let parting = try compareCurves(overrides + ["parallel.experts=\(size)"], ranks: ranks)
    // Where all part at once, little is compared.
    if let parting { #expect(parting.step >= 10, "\(parting)") }
  }

  @Test(
    "Where grids round a decision differently, experts were as good, and the losses stay alike",
    arguments: [
      (1, 3, ["sequence.segments=3"]), (2, 2, []),
      (4, 8, ["parallel.data=2", "parallel.exchange=gather"]),
    ] as [(Int, Int, [String])])
  func ties(size: Int, ranks: Int, overrides: [String]) throws {
    // Experts stand in pairs whose logits differ by about 2e-5, and the last that a token chooses is one of a pair: of some
    // twenty thousand decisions several hang on how a number was rounded. With greater weights one token's loss changes by more
    // than a nat, and at greater rates training drives curves further apart than a decision does.
    let keys =
      overrides + [
        "parallel.experts=\(size)", "model.experts.active=3",
        "model.init_std=0.1", "optimizer.learning_rate=1e-4",
        "optimizer.groups=[{pattern: \"*mlp.gate*\", frozen: true}]",
      ]
    let parting = try compareCurves(keys, ranks: ranks) { run in
      for part in run.store.kept {
        for entry in run.model.table.entries
        where entry.name.hasSuffix("mlp.gate.weight")
          && part.range.contains(entry.range.lowerBound)
        {
          let width = entry.shape.columns
          for place in entry.range where (place - entry.range.lowerBound) / width % 2 == 1 {
            let difference = Float(place * 7919 % 97 - 48) * 1.5e-7
            let values = part.values - part.range.lowerBound
            values[place] = values[place - width] + difference
          }
        }
      }
    }
    #expect(parting != nil)
  }

  /// The gradient sums of all parameters in the first step, and the bytes that went to experts.
  private func gradients(
    _ overrides: [String], ranks: Int, model: [String] = Self.experts
  ) throws -> (gradients: [Float], sent: Int) {
    let small = try SmallRun(model + ["optimizer.clip=0"] + overrides, steps: 1)
    let all = try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      let run = try small.make(on: world)
      _ = try run.step(0)
      try run.store.settle(polling: run.context.workspace.poll)
      let parts = run.store.parts.map {
        ($0.range, Array(UnsafeBufferPointer(start: $0.gradients, count: $0.range.count)))
      }
      return (
        parts: parts, count: run.model.table.count, sent: run.context.counters.expertBytesSent
      )
    }
    // Each number is one rank's.
    let parts = all.flatMap(\.parts).filter { !$0.0.isEmpty }
      .sorted { $0.0.lowerBound < $1.0.lowerBound }
    var end = 0
    for (range, _) in parts {
      #expect(range.lowerBound == end)
      end = range.upperBound
    }
    #expect(end == all[0].count)
    return (parts.flatMap(\.1), all.reduce(0) { $0 + $1.sent })
  }

  @Test(
    "Every gradient is that of ranks which have all experts",
    arguments: [
      (2, 2, []), (4, 4, ["parallel.data=2"]), (2, 4, ["parallel.data=4"]),
      (2, 6, ["parallel.exchange=gather"]), (4, 8, ["parallel.sharding=parameters"]),
      (2, 4, ["sequence.segments=3", "parallel.sharding=gradients"]),
      (2, 4, ["sequence.segments=3", "sequence.carry_bytes=0", "training.recompute=true"]),
      (4, 4, ["training.recompute=true", "parallel.sharding=optimizer"]),
      (8, 24, ["sequence.length=21", "training.batch=1"]),
      (2, 2, ["optimizer.name=muon", "parallel.sharding=optimizer"]),
    ] as [(Int, Int, [String])])
  func gradients(size: Int, ranks: Int, overrides: [String]) throws {
    try compare(overrides, size: size, ranks: ranks, model: Self.experts)
  }

  @Test("So they are in Transformers", arguments: ["mixtral", "qwen2_moe", "qwen3_moe"])
  func transformers(mixer: String) throws {
    let model = [
      "model.mixer=\(mixer)", "model.experts.count=4", "model.init_std=0.3",
    ]
    try compare([], size: 2, ranks: 4, model: model)
    try compare(["parallel.data=2"], size: 4, ranks: 4, model: model)
  }

  /// Compares all gradients with those of the same ranks with all experts.
  private func compare(_ overrides: [String], size: Int, ranks: Int, model: [String]) throws {
    let right = try gradients(overrides, ranks: ranks, model: model)
    #expect(right.sent == 0)
    let dealt = try gradients(
      overrides + ["parallel.experts=\(size)"], ranks: ranks, model: model)
    #expect(dealt.sent > 0)
    let table = try RunSetup(SmallRun(model + overrides).configuration).model.table
    let whole = norm(right.gradients[...])
    for entry in table.entries {
      let (one, other) = (right.gradients[entry.range], dealt.gradients[entry.range])
      let difference = norm(ArraySlice(zip(one, other).map(-)))
      #expect(difference <= 1e-5 * max(norm(one), 1e-3 * whole), "\(entry.name)")
    }
  }

  private func norm(_ numbers: ArraySlice<Float>) -> Double {
    numbers.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
  }

  @Test("Running again sends nothing: not for recomputed blocks, and not for segments")
  func runsAgain() throws {
    func sent(_ overrides: [String]) throws -> Int {
      try gradients(overrides + ["parallel.experts=2"], ranks: 2).sent
    }
    let once = try sent([])
    #expect(try sent(["training.recompute=true"]) == once)
    let parts = try sent(["sequence.segments=3"])
    #expect(try sent(["sequence.segments=3", "training.recompute=true"]) == parts)
    // Headers are those of more messages.
    #expect(abs(parts - once) < 2 * 3 * 4 * 64 * 4)
  }

  @Test("In bf16 what travels is half as long, and a run learns as well")
  func bfloat16() throws {
    let exact = try train([], ranks: 1, steps: 10)
    let keys = ["parallel.experts=2", "training.precision=bf16"]
    let rounded = try train(keys, ranks: 2, steps: 10)
    for (one, other) in zip(exact, rounded) {
      #expect(abs(one.loss - other.loss) < 2e-2 * one.loss)
    }
    let (whole, half) = (
      try gradients(["parallel.experts=2"], ranks: 2).sent, try gradients(keys, ranks: 2).sent
    )
    // Outputs and the gradients of rows go home in fp32.
    #expect(half < whole * 4 / 5)
  }

  @Test(
    "With virtual ranks the bits are the same on any number of processes, and the same twice",
    arguments: [(2, 4, []), (4, 50, ["parallel.data=2"]), (1, 4, [])] as [(Int, Int, [String])])
  func bits(size: Int, steps: Int, overrides: [String]) throws {
    let small = try SmallRun(
      Self.experts + overrides + ["parallel.reproducible=4", "parallel.experts=\(size)"],
      steps: steps)
    func train(processes: Int) throws -> [SmallRun.Result] {
      try ThreadCommunicator.run(ranks: processes, deadline: 60) { process in
        try process.run(virtualRanks: 4) { try small.train(on: $0) }
      }.flatMap { $0 }
    }
    let alone = try train(processes: 1)
    #expect(alone.count == 4)
    for processes in [1, 2, 4] { #expect(try train(processes: processes) == alone) }
  }

  @Test(
    "Files do not depend on how experts are dealt, and a run goes on from a checkpoint with any dealing",
    arguments: [["optimizer.name=adamw"], ["optimizer.name=muon", "parallel.sharding=parameters"]])
  func files(keys: [String]) throws {
    try checkFiles(
      SmallRuns(), Self.experts + keys + ["evaluation.every=2", "evaluation.tokens=61"],
      ["model", "optimizer"])
  }

  @Test(
    "So it is with states that are carried from step to step, and with adapters",
    arguments: [
      [], ["training.accumulation=2"], ["parallel.data=2", "parallel.sharding=parameters"],
    ], [["model.mixer=gla"], ["model.mixer=gated_deltanet", "sequence.segments=3"]])
  func carries(keys: [String], model: [String]) throws {
    let file = try TextFile((0..<1400).map { UInt8(($0 * $0 + $0 / 7) % 11) })
    let keys =
      keys + [
        "data.path=\(file.path)", "data.carry=true", "data.held_out=0", "sequence.length=31",
      ]
    let runs = try SmallRuns()
    try checkFiles(runs, Self.experts + model + keys, ["model", "optimizer", "streams"])
    // From the model of a run that all have, adapters of experts and of others, and a router.
    let lora = [
      "model.from=\(runs.path("1"))/model", "lora.targets=[gate_proj, down_proj, q_proj]",
      "lora.rank=3", "lora.modules_to_save=[gate]", "optimizer.learning_rate=1e-2",
    ]
    try checkFiles(
      runs, lora + keys + ["sequence.segments=3"],
      ["adapter_model", "optimizer", "streams", "model/model"], named: "lora")
  }

  /// Compares files of runs with experts dealt in three ways, and of those that go on from one another's checkpoints.
  private func checkFiles(
    _ runs: SmallRuns, _ keys: [String], _ files: [String], named prefix: String = ""
  ) throws {
    func numbers(_ folder: String) throws -> [[Float]] {
      try files.map { name in
        let data = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name).safetensors"))
        let header = data.prefix(8).enumerated().reduce(8) {
          $0 + Int($1.element) << (8 * $1.offset)
        }
        return data.dropFirst(header).withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
      }
    }
    func close(_ one: String, _ other: String) throws -> Bool {
      try zip(numbers(one), numbers(other)).allSatisfy { a, b in
        !a.isEmpty && a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) < 1e-4 }
      }
    }
    let sizes = [1, 2, 4]
    func name(_ size: Int) -> String { "\(prefix)\(size)" }
    let right = runs.checkpoint(name(1), 6)
    for size in sizes {
      try runs.train(name(size), keys + ["parallel.experts=\(size)"], ranks: 4)
      #expect(try close(runs.checkpoint(name(size), 6), right), "\(size)")
    }
    // Each goes on from the next one's.
    for (index, size) in sizes.enumerated() {
      let other = sizes[(index + 1) % sizes.count]
      let path = runs.path("\(name(size))-on-\(other)")
      try runs.resume(
        runs.checkpoint(name(other), 4), ["parallel.experts=\(size)", "log.directory=\(path)"],
        ranks: 4)
      #expect(
        try close("\(path)/checkpoints/step-00000006", right), "\(size) on \(other)")
    }
  }

  @Test(
    "A dry run knows bytes and memory where all experts are chosen as often, and the most that can be in use",
    arguments: [[], ["parallel.sharding=parameters"], ["training.recompute=true"]])
  func rehearsal(overrides: [String]) throws {
    func compare(_ active: Int) throws -> [(
      real: (held: Int, peak: Int, bytes: [Int]), expected: Rehearsal, worst: Rehearsal
    )] {
      let small = try SmallRun(
        Self.experts + overrides + [
          "model.experts.active=\(active)", "parallel.experts=2", "model.dimension=64",
          "model.experts.width=96", "sequence.length=64",
        ], steps: 3)
      let real = try ThreadCommunicator.run(ranks: 4, deadline: 60) { world in
        let one = try small.make(on: world)
        for step in 0..<3 {
          one.context.counters.reset()
          _ = try one.step(step)
        }
        try one.store.settle(polling: one.context.workspace.poll)
        let counters = one.context.counters
        let statistics = one.context.workspace.pool.statistics
        return (
          held: statistics.held, peak: statistics.peak,
          bytes: [
            counters.gradientBytesSent, counters.weightBytesSent, counters.expertBytesSent,
          ]
        )
      }
      let rehearsals = try RunSetup(small.configuration).rehearsals(small.configuration, ranks: 4)
      return try real.enumerated().map { rank, real in
        (
          real, try rehearsals.step(rank: rank, exchange: .chain),
          try rehearsals.step(rank: rank, exchange: .chain, load: .worst)
        )
      }
    }
    // All experts: whatever is chosen, the rows are as many.
    for (real, expected, worst) in try compare(8) {
      #expect([expected.gradientBytes, expected.weightBytes, expected.expertBytes] == real.bytes)
      #expect(worst.expertBytes == expected.expertBytes)
      #expect(abs(Double(expected.poolBytes) / Double(real.held) - 1) < 0.15)
    }
    for (real, expected, worst) in try compare(2) {
      #expect(worst.expertBytes > expected.expertBytes && worst.expertBytes >= real.bytes[2])
      // What is in use; blocks of other sizes are cached beside, as sizes differ from step to step.
      let most = worst.peakByKind.reduce(0, +)
      // Messages of states and sums that wait for other ranks are beside it.
      #expect(Double(real.peak) <= 1.01 * Double(most))
      #expect(most > expected.peakByKind.reduce(0, +))
    }
  }

  @Test("Whichever operation of a rank fails, its step ends with what that failed by")
  func failures() throws {
    let small = try SmallRun(
      Self.experts + ["parallel.experts=2", "training.batch=1", "model.depth=1"])
    @Sendable func train(_ world: any Communicator) throws {
      let run = try small.make(on: world)
      _ = try run.step(0)
      try run.store.settle(polling: run.context.workspace.poll)
    }
    let operations = try ThreadCommunicator.run(ranks: 2, deadline: 60) { world in
      let world = CountingCommunicator(world)
      try train(world)
      return world.operations
    }
    for failing in 0..<operations[1] {
      let error = try #require(throws: (any Error).self) {
        try ThreadCommunicator.run(ranks: 2, deadline: 60) { world in
          try train(world.rank == 1 ? FailingCommunicator(world, failing: failing) : world)
        }
      }
      #expect("\(error)".contains("the wire is cut"), "operation \(failing)")
    }
  }

  @Test(
    "Dealings that cannot be are refused with a sentence",
    arguments: [
      (Self.experts + ["parallel.experts=3"], 3, "8 experts cannot be dealt evenly over 3 ranks"),
      (Self.experts + ["parallel.experts=2"], 3, "groups of 2 ranks need a multiple of 2 ranks"),
      (["parallel.experts=2"], 2, "experts cannot be dealt over 2 ranks, since the model has none"),
    ])
  func refuses(overrides: [String], ranks: Int, sentence: String) throws {
    let small = try SmallRun(overrides)
    let error = #expect(throws: (any Error).self) {
      _ = try Plan(small.configuration, processes: ranks)
    }
    #expect("\(try #require(error))".contains(sentence))
  }
}
