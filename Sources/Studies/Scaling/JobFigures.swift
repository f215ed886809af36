import Observation

/// What one job measured: medians over the steps after the warm-up.
struct JobFigures: Sendable, Equatable {
  /// Steps that count.
  var steps: Int
  /// Threads of all ranks that can run at once.
  var parallelThreads: Int
  /// Median seconds of a step.
  var stepSeconds: Double
  /// Tokens a second over all ranks.
  var tokensPerSecond: Double
  /// Operations a second over all ranks, in units of 10⁹.
  var gigaflops: Double
  /// Mean share of a step, over ranks, spent waiting for states, waiting for sums, and reading tokens.
  var waitShare, reduceShare, dataShare: Double
  /// Share of the time of computing for which ranks had no core; nil where the log does not tell.
  var shareWithoutCore: Double?
  /// Share of the sums of gradients in which ranks did not wait for them; nil on one rank.
  var hiddenShare: Double?
  /// The most memory of a rank, and the mean, in bytes.
  var peakMemory, meanMemory: Int
  /// Bytes sent a step by the rank that sends most of its kind: states, headers and halos, gradients,
  /// weights.
  var stateBytes, haloBytes, gradientBytes, weightBytes: Int
  /// Bytes of states sent a step by all ranks.
  var allStateBytes: Int

  /// Reads them from a log.
  ///
  /// - Parameters:
  ///   - warmup: Steps at the start that do not count.
  ///   - path: The log, for the error.
  /// - Throws: `JobError.log` for a log without steps after the warm-up.
  init(_ log: RunRecord, warmup: Int, path: String) throws(JobError) {
    guard let start = log.start else { throw .log(path: path, reason: "it has no start event") }
    let steps = Array(log.steps.dropFirst(warmup))
    guard let last = steps.last else {
      throw .log(
        path: path,
        reason: "it has \(log.steps.count) steps, none after the \(warmup) of the warm-up")
    }
    func share(_ seconds: (RunRecord.Step) -> RankFigure) -> Double {
      steps.map { seconds($0).mean / $0.seconds }.median
    }
    func most(_ figure: RankFigure) -> Int { Int(exactly: figure.most.rounded()) ?? 0 }
    self.steps = steps.count
    parallelThreads = start.parallelThreads
    stepSeconds = steps.map(\.seconds).median
    tokensPerSecond = Double(start.tokensPerStep) / stepSeconds
    gigaflops = steps.map(\.gigaflops).median
    waitShare = share { $0.stateWait }
    reduceShare = share { $0.reduce }
    dataShare = share { $0.data }
    let computed = steps.reduce(0) { $0 + $1.compute.sum }
    let processor = steps.compactMap(\.processor)
    shareWithoutCore =
      processor.count == steps.count && computed > 0
      ? max(0, 1 - processor.reduce(0) { $0 + $1.sum } / computed) : nil
    let hidden = steps.compactMap(\.hidden)
    hiddenShare = hidden.isEmpty ? nil : hidden.median
    peakMemory = most(last.memory)
    meanMemory = Int(exactly: last.memory.mean.rounded()) ?? 0
    // Every step sends the same.
    stateBytes = most(last.stateBytes)
    haloBytes = most(last.haloBytes)
    gradientBytes = most(last.gradientBytes)
    weightBytes = most(last.weightBytes)
    allStateBytes = Int(exactly: last.stateBytes.sum.rounded()) ?? 0
  }

  /// How much of a base's throughput is kept.
  ///
  /// Concretely: `(tokens/s ÷ threads that run at once) / (the same of the base)`. Where ranks share cores,
  /// the threads that run at once are the cores, and this is the share of the total throughput that is kept.
  func efficiency(over base: JobFigures) -> Double {
    tokensPerSecond / base.tokensPerSecond * Double(base.parallelThreads)
      / Double(parallelThreads)
  }
}
