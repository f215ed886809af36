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
  init(_ log: JobLog, warmup: Int, path: String) throws(JobError) {
    let steps = Array(log.steps.dropFirst(warmup))
    guard let last = steps.last else {
      throw .log(
        path: path,
        reason: "it has \(log.steps.count) steps, none after the \(warmup) of the warm-up")
    }
    func share(_ seconds: (JobLog.Step) -> [Double]) -> Double {
      steps.map { step in
        seconds(step).reduce(0, +) / Double(log.start.hosts.count) / step.seconds
      }.median
    }
    self.steps = steps.count
    parallelThreads = log.start.parallelThreads
    stepSeconds = steps.map(\.seconds).median
    tokensPerSecond = Double(log.start.tokensPerStep) / stepSeconds
    gigaflops = steps.map(\.gigaflops).median
    waitShare = share(\.stateWait)
    reduceShare = share(\.reduce)
    dataShare = share(\.data)
    let computed = steps.reduce(0) { $0 + $1.compute.reduce(0, +) }
    let processor = steps.compactMap(\.processor)
    shareWithoutCore =
      processor.count == steps.count && computed > 0
      ? max(0, 1 - processor.reduce(0) { $0 + $1.reduce(0, +) } / computed) : nil
    let hidden = steps.compactMap(\.hidden)
    hiddenShare = hidden.isEmpty ? nil : hidden.median
    peakMemory = last.peakMemory.max() ?? 0
    meanMemory = last.peakMemory.reduce(0, +) / max(1, last.peakMemory.count)
    // Every step sends the same.
    stateBytes = last.stateBytes.max() ?? 0
    haloBytes = last.haloBytes.max() ?? 0
    gradientBytes = last.gradientBytes.max() ?? 0
    weightBytes = last.weightBytes.max() ?? 0
    allStateBytes = last.stateBytes.reduce(0, +)
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
