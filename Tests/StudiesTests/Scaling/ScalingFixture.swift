import Configuration
import Observation
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
  ///
  /// - Parameter processor: Share of their computing for which ranks had a core; nil for a log that does not tell.
  static func log(
    ranks: Int, cores: Int = 2, tokens: Int = 1000, seconds: [Double] = [9, 1],
    processor: Double? = nil
  ) -> RunRecord {
    var start = JSONLine()
    start.set("event", "start")
    start.set("version", "0.1.0")
    start.set("hosts", (0..<ranks).map { _ in "node" })
    start.set("ranks", ranks)
    start.set("threads", 1)
    start.set("parallel_threads", min(ranks, cores))
    start.set("parameters", 99)
    start.set("tokens_per_step", tokens)
    start.set("blas_core", "Haswell")
    start.set("sgemm_peak_gigaflops", 100.0)
    var record = RunRecord(folder: "log")
    record.take(line: start.text)
    for (index, seconds) in seconds.enumerated() {
      func each(_ value: Double) -> [Double] { [Double](repeating: value, count: ranks) }
      var step = JSONLine()
      step.set("event", "step")
      step.set("step", index + 1)
      step.set("loss", 1.0)
      step.set("seconds", seconds)
      step.set("gigaflops", 10 / seconds)
      step.set("compute_seconds", each(0.8 * seconds))
      if let processor { step.set("processor_seconds", each(0.8 * seconds * processor)) }
      step.set("state_wait_seconds", each(0.1 * seconds))
      step.set("reduce_seconds", each(0.05 * seconds))
      step.set("data_seconds", each(0.01 * seconds))
      step.set("state_bytes_sent", (0..<ranks).map { 100 * $0 })
      step.set("halo_bytes_sent", each(7))
      step.set("gradient_bytes_sent", each(11))
      step.set("weight_bytes_sent", each(13))
      if ranks > 1 { step.set("reduction_hidden", 0.75) }
      step.set("peak_memory_bytes", (0..<ranks).map { (50 + $0) << 20 })
      record.take(line: step.text)
    }
    return record
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
      figures: try JobFigures(log, warmup: 1, path: "log"), start: log.start!)
  }
}
