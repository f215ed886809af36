import Configuration
import SequenceParallel
import Testing

@testable import Studies

@Suite("What a scaling job measured")
struct JobFiguresTests {
  @Test("Figures are medians over the steps after the warm-up")
  func medians() throws {
    let log = ScalingFixture.log(ranks: 2, seconds: [100, 50, 2, 4, 8])
    let figures = try JobFigures(log, warmup: 2, path: "log")
    #expect(figures.steps == 3)
    #expect(figures.stepSeconds == 4)
    #expect(figures.tokensPerSecond == 250)
    #expect(figures.gigaflops == 2.5)
    #expect(abs(figures.waitShare - 0.1) < 1e-12 && abs(figures.reduceShare - 0.05) < 1e-12)
    #expect(abs(figures.dataShare - 0.01) < 1e-12)
  }

  @Test("Memory and bytes are those of the rank that has most")
  func most() throws {
    let figures = try JobFigures(ScalingFixture.log(ranks: 3), warmup: 1, path: "log")
    #expect(figures.peakMemory == 52 << 20 && figures.meanMemory == 51 << 20)
    #expect(figures.stateBytes == 200 && figures.allStateBytes == 300)
    #expect(figures.haloBytes == 7 && figures.gradientBytes == 11)
    #expect(figures.weightBytes == 13 && figures.hiddenShare == 0.75)
  }

  @Test(
    "A job is marked whose ranks lacked their cores for longer than they share them themselves",
    arguments: [(2, 0.95, false), (2, 0.7, true), (4, 0.5, false), (4, 0.3, true)])
  func disturbed(ranks: Int, share: Double, isDisturbed: Bool) throws {
    let log = ScalingFixture.log(ranks: ranks, processor: share)
    let figures = try JobFigures(log, warmup: 1, path: "log")
    #expect(abs((figures.shareWithoutCore ?? 0) - (1 - share)) < 1e-12)
    let record = ScalingResults.Record(
      scalingCase: try ScalingFixture.plan(ranks: [ranks], exchanges: [.chain]).cases[0],
      repetition: 1, figures: figures, start: try #require(log.start))
    #expect(record.isDisturbed == isDisturbed)
    #expect((ScalingTable.disturbed([record]) != nil) == isDisturbed)
  }

  @Test("A log without a step after the warm-up is refused")
  func short() {
    #expect {
      try JobFigures(ScalingFixture.log(ranks: 1), warmup: 2, path: "a.jsonl")
    } throws: {
      "\($0)" == "a.jsonl: it has 2 steps, none after the 2 of the warm-up"
    }
  }

  @Test(
    "Efficiency is throughput by thread that has a core",
    arguments: [
      (2, 2000.0, 1.0), (2, 1800, 0.9), (2, 1000, 0.5), (4, 2000, 1.0), (8, 1900, 0.95),
    ])
  func efficiency(ranks: Int, tokensPerSecond: Double, efficiency: Double) throws {
    let base = try JobFigures(
      ScalingFixture.log(ranks: 1, tokens: 1000, seconds: [9, 1]), warmup: 1, path: "")
    let log = ScalingFixture.log(
      ranks: ranks, cores: 2, tokens: 4000, seconds: [9, 4000 / tokensPerSecond])
    let figures = try JobFigures(log, warmup: 1, path: "")
    #expect(abs(figures.efficiency(over: base) - efficiency) < 1e-12)
  }
}

@Suite("What is measured for scaling")
struct ScalingPlanTests {
  @Test("Weak scaling keeps the tokens of a rank, strong scaling those of all")
  func studies() throws {
    let plan = try ScalingFixture.plan(exchanges: [.chain])
    #expect(plan.studies.map(\.kind) == [.weak, .strong])
    #expect(plan.studies[0].cases.map(\.length) == [64, 128, 256])
    #expect(plan.studies[1].cases.map(\.length) == [128, 128, 128])
    #expect(plan.studies[0].cases.map(\.shard) == [64, 64, 64])
    #expect(plan.studies[1].cases.map(\.shard) == [128, 64, 32])
  }

  @Test("A case of two studies runs once; one rank needs no exchange")
  func cases() throws {
    let plan = try ScalingFixture.plan(ranks: [2, 1, 2])
    #expect(plan.cases.map(\.exchange) == [nil, .chain, .gather, nil])
    #expect(plan.cases.map(\.length) == [64, 128, 128, 128])
    #expect(plan.studies[1].exchanges == [.chain, .gather])
    #expect(plan.studies[1].cases(.gather).map(\.ranks) == [1, 2])
  }

  @Test("Groups with different sequences: each keeps its batch in weak scaling")
  func groups() throws {
    let plan = try ScalingFixture.plan(
      lengths: [], overrides: "parallel.sequence=1", "training.batch=3")
    #expect(plan.cases.map(\.batch) == [3, 6, 12])
    #expect(plan.cases.map(\.length) == [64, 64, 64])
    #expect(plan.studies[0].exchanges == [nil])
  }

  @Test("The communication model is that of the method's formulas")
  func model() throws {
    let plan = try ScalingFixture.plan(overrides: "model.heads=2", "model.mixer=gla")
    // Two layers, two heads; GLA's keys are half as wide as its values: K = 4, V = 8.
    let (states, maps) = (2 * 4 * 2 * 4 * 8, 2 * 4 * 2 * 4)
    for scalingCase in plan.cases {
      let others = scalingCase.ranks - 1
      let expected: Int? =
        switch scalingCase.exchange {
        case nil: 0
        case .chain?: states * min(others, 2)
        case .gather?: others * (2 * states + maps)
        default: nil
        }
      #expect(plan.modelBytes(scalingCase) == expected)
    }
  }

  @Test(
    "Bytes of other methods, at the sizes of the documents: d = 2048, eight ranks of 8,192 tokens")
  func otherMethods() {
    let traffic = StateTraffic(
      ranks: 8, layers: [StateTraffic.Layer(states: 1 << 20, maps: 0, width: 16 * 128)])
    // Forward alone 896 and 224 MiB; Ring Attention sends twice that backward, Ulysses the same.
    #expect(traffic.ringAttentionBytes(length: 65536) == 3 * 896 * 0x1p20)
    #expect(traffic.ulyssesBytes(length: 65536) == 2 * 224 * 0x1p20)
    #expect(traffic.mostBytes(.chain) == 2 << 20)
    #expect(traffic.mostBytes(.gather) == 14 << 20)
  }

  private func sentence(_ scaling: Scaling) -> String {
    do {
      _ = try ScalingPlan(scaling)
      return "accepted"
    } catch {
      return "\(error)"
    }
  }

  @Test("What cannot be measured is refused in one sentence, before anything runs")
  func refused() {
    #expect(
      sentence(ScalingFixture.scaling(["sequence.length=8"]))
        == "--sequence.length: scaling sets this key itself; give --tokens and --lengths")
    #expect(
      sentence(ScalingFixture.scaling(tokens: [], lengths: []))
        == "--tokens and --lengths are both none: there is nothing to measure")
    #expect(
      sentence(ScalingFixture.scaling(steps: 2, warmup: 2))
        == "--steps: 2 leave none after the 2 of --warmup; give more")
    #expect(sentence(ScalingFixture.scaling(repetitions: 0)) == "--repetitions: 0 is not 1 or more")
    #expect(
      sentence(ScalingFixture.scaling(["parallel.data=2"])).contains(
        "cannot be 1 ranks"))
    #expect(
      sentence(ScalingFixture.scaling(["model.dimenson=8"])).contains(
        "did you mean model.dimension?"))
  }
}

@Suite("What many scaling jobs say together")
struct ScalingResultsTests {
  @Test("An efficiency compares jobs of the same repetition, and is the median of the repetitions")
  func pairs() throws {
    let plan = try ScalingFixture.plan(
      ranks: [1, 2], lengths: [], exchanges: [.chain], repetitions: 3)
    var results = ScalingResults(plan: plan)
    // The machine slows down threefold, then recovers; two ranks keep 80, 90 and 100 % of twice as much.
    for (repetition, speed, kept) in [(1, 900.0, 0.8), (2, 300, 0.9), (3, 600, 1)] {
      for (scalingCase, rate) in zip(plan.cases, [speed, 2 * speed * kept]) {
        results.add(
          try ScalingFixture.record(
            scalingCase, repetition: repetition, tokensPerSecond: rate))
      }
    }
    let spread = try #require(results.efficiency(plan.cases[1], in: plan.studies[0]))
    #expect(abs(spread.median - 0.9) < 1e-12)
    #expect(abs(spread.least - 0.8) < 1e-12 && abs(spread.most - 1) < 1e-12)
    #expect(results.efficiency(results.records[0], .weak) == 1)
    #expect(results.efficiency(results.records[0], .strong) == nil)
  }

  @Test("Without its base a job has no efficiency")
  func noBase() throws {
    let plan = try ScalingFixture.plan(ranks: [1, 2])
    var results = ScalingResults(plan: plan)
    results.add(try ScalingFixture.record(plan.cases[1]))
    #expect(results.efficiency(results.records[0], .weak) == nil)
    #expect(results.spread(plan.cases[0], \.stepSeconds) == nil)
  }

  @Test("Ranks that share cores are told from those that do not")
  func crowded() throws {
    let results = try ScalingFixture.results(ScalingFixture.plan())
    #expect(results.records.allSatisfy { $0.isCrowded == ($0.scalingCase.ranks > 2) })
    let crowded = results.records.filter(\.isCrowded)[0]
    #expect(
      ScalingTable.crowded(crowded)
        == "4 ranks share 2 cores: where ranks exceed cores, efficiency means the total throughput kept, "
        + "not a gain by more ranks")
  }
}
