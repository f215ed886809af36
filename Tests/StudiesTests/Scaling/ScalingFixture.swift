import Configuration
import SequenceParallel

@testable import Studies

/// Measurements that no machine made.
enum ScalingFixture {
  /// A plan of small runs.
  static func plan(
    ranks: [Int] = [1, 2, 4], tokens: [Int] = [64], lengths: [Int] = [128],
    exchanges: [ExchangeKind] = [.chain, .gather], repetitions: Int = 1, overrides: String...
  ) throws -> ScalingPlan {
    try ScalingPlan(
      scaling(
        overrides, ranks: ranks, tokens: tokens, lengths: lengths, exchanges: exchanges,
        repetitions: repetitions))
  }

  /// What is asked for: small models, one sequence.
  static func scaling(
    _ overrides: [String] = [], ranks: [Int] = [1, 2, 4], tokens: [Int] = [512, 2048],
    lengths: [Int] = [4096], exchanges: [ExchangeKind] = ExchangeKind.allCases,
    repetitions: Int = 3, steps: Int = 8, warmup: Int = 2
  ) -> Scaling {
    let small = [
      "model.dimension=16", "model.depth=2", "model.heads=2", "model.vocabulary=256",
      "training.batch=1", "threads=1", "evaluation.every=0", "checkpoint.every=0",
    ]
    return Scaling(
      runFile: nil, overrides: (small + overrides).map { Override($0) }, ranks: ranks,
      tokens: tokens, lengths: lengths, exchanges: exchanges, repetitions: repetitions,
      steps: steps, warmup: warmup, launcher: nil, hostfile: nil, output: nil)
  }

  /// A log of steps of these seconds, on ranks that each wait for states for a tenth of them.
  static func log(
    ranks: Int, cores: Int = 2, tokens: Int = 1000, seconds: [Double] = [9, 1]
  ) -> JobLog {
    let each = { (value: Double) in [Double](repeating: value, count: ranks) }
    return JobLog(
      start: JobLog.Start(
        version: "0.1.0", hosts: (0..<ranks).map { _ in "node" }, threads: 1,
        parallelThreads: min(ranks, cores), sequenceRanks: ranks, dataGroups: 1, parameters: 99,
        tokensPerStep: tokens, blasCore: "Haswell", sgemmPeak: 100),
      steps: seconds.enumerated().map { index, seconds in
        JobLog.Step(
          number: index + 1, loss: 1, seconds: seconds, gigaflops: 10 / seconds,
          compute: each(0.8 * seconds), stateWait: each(0.1 * seconds),
          reduce: each(0.05 * seconds), data: each(0.01 * seconds),
          stateBytes: (0..<ranks).map { 100 * $0 }, haloBytes: Array(repeating: 7, count: ranks),
          gradientBytes: Array(repeating: 11, count: ranks),
          weightBytes: Array(repeating: 13, count: ranks),
          hidden: ranks > 1 ? 0.75 : nil, peakMemory: (0..<ranks).map { (50 + $0) << 20 })
      }, end: "finished")
  }

  /// Every case of a plan as often as it asks, with the same tokens a second whatever the ranks.
  static func results(_ plan: ScalingPlan) throws -> ScalingResults {
    var results = ScalingResults(plan: plan)
    for repetition in 1...plan.scaling.repetitions {
      for scalingCase in plan.cases {
        results.add(try record(scalingCase, repetition: repetition))
      }
    }
    return results
  }

  /// A job on two cores.
  static func record(
    _ scalingCase: ScalingCase, repetition: Int = 1, tokensPerSecond: Double = 1000
  ) throws -> ScalingResults.Record {
    let tokens = scalingCase.batch * scalingCase.length
    let log = log(
      ranks: scalingCase.ranks, tokens: tokens, seconds: [9, Double(tokens) / tokensPerSecond])
    return ScalingResults.Record(
      scalingCase: scalingCase, repetition: repetition,
      figures: try JobFigures(log, warmup: 1, path: "log"), start: log.start)
  }
}
