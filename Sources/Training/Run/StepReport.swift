import Measurement
import MessagePassing

/// What one rank did in a step.
public struct RankFigures: Sendable, Equatable {
  /// Seconds that the step took on this rank.
  public var seconds = 0.0
  /// Seconds of computing.
  public var computeSeconds = 0.0
  /// Seconds of waiting for states.
  public var stateWaitSeconds = 0.0
  /// Seconds of waiting for reductions.
  public var reduceSeconds = 0.0
  /// Seconds of preparing tokens.
  public var dataSeconds = 0.0
  /// Bytes of states and state gradients sent.
  public var stateBytesSent = 0
  /// Bytes of headers and halos sent beside them.
  public var haloBytesSent = 0
  /// Seconds in which sums of gradients or gathers of weights were under way.
  public var transferSeconds = 0.0
  /// Seconds of these that the rank waited for them.
  public var transferWaitSeconds = 0.0
  /// Bytes of gradients sent for their reduction.
  public var gradientBytesSent = 0
  /// Bytes of sharded weights sent.
  public var weightBytesSent = 0
  /// Operations of softmax attention.
  public var attentionOperations = 0.0
  /// The most memory the process ever had.
  public var peakMemoryBytes = 0

  /// Reads a rank's counters.
  ///
  /// - Parameter seconds: What the step took.
  public init(_ counters: Counters, seconds: Double) {
    self.seconds = seconds
    computeSeconds = counters.computeSeconds
    stateWaitSeconds = counters.seconds(.stateWait)
    reduceSeconds = counters.seconds(.reduce)
    dataSeconds = counters.seconds(.data)
    stateBytesSent = counters.stateBytesSent
    haloBytesSent = counters.haloBytesSent
    transferSeconds = counters.transferSeconds
    transferWaitSeconds = counters.transferWaitSeconds
    gradientBytesSent = counters.gradientBytesSent
    weightBytesSent = counters.weightBytesSent
    attentionOperations = counters.attentionOperations
    peakMemoryBytes = ProcessMemory.peakBytes
  }

  var numbers: [Double] {
    [
      computeSeconds, stateWaitSeconds, reduceSeconds, dataSeconds, transferSeconds,
      transferWaitSeconds, seconds, attentionOperations,
    ]
      + [stateBytesSent, haloBytesSent, gradientBytesSent, weightBytesSent, peakMemoryBytes]
      .map(Double.init)
  }

  init(_ numbers: some RandomAccessCollection<Double>) {
    let n = Array(numbers)
    (computeSeconds, stateWaitSeconds, reduceSeconds, dataSeconds) = (n[0], n[1], n[2], n[3])
    (transferSeconds, transferWaitSeconds, seconds) = (n[4], n[5], n[6])
    attentionOperations = n[7]
    (stateBytesSent, haloBytesSent, gradientBytesSent) = (Int(n[8]), Int(n[9]), Int(n[10]))
    (weightBytesSent, peakMemoryBytes) = (Int(n[11]), Int(n[12]))
  }

  /// Every rank's figures, in rank order, on rank 0; empty elsewhere.
  static func gather(_ mine: RankFigures, world: any Communicator) throws -> [RankFigures] {
    let count = mine.numbers.count
    var all = [Double](repeating: 0, count: world.rank == 0 ? count * world.size : 0)
    try mine.numbers.withUnsafeBytes { mine in
      try all.withUnsafeMutableBytes { all in
        try world.gather(mine, into: world.rank == 0 ? all : nil, to: 0)
          .wait(for: "the ranks' figures at rank 0")
      }
    }
    return (0..<all.count / count).map { RankFigures(all[$0 * count..<($0 + 1) * count]) }
  }
}

/// A step as the log and the console report it.
public struct StepReport: Sendable {
  /// Losses, gradient norm and learning rate.
  public let outcome: StepOutcome
  /// Tokens of the step over the whole world, targets or not.
  public let tokens: Int
  /// Seconds the step took on rank 0.
  public let seconds: Double
  /// Operations of the step over the whole world, by the field's formula; of softmax attention what was
  /// computed, documents and windows considered.
  public let operations: Double
  /// Every rank's figures, in rank order.
  public let ranks: [RankFigures]

  /// Tokens a second over the whole world.
  public var tokensPerSecond: Double { Double(tokens) / seconds }
  /// Operations a second over the whole world, in units of 10⁹.
  public var gigaflops: Double { operations / seconds * 1e-9 }
  /// The share of the time of sums of gradients, and of gathers of weights, in which ranks did not wait for
  /// them; nil where there was none.
  ///
  /// Concretely: `1 − Σ waiting / Σ under way`, over all ranks.
  public var hiddenShare: Double? {
    let all = ranks.reduce(0) { $0 + $1.transferSeconds }
    let waiting = ranks.reduce(0) { $0 + $1.transferWaitSeconds }
    return all > 0 ? max(0, 1 - waiting / all) : nil
  }
  /// The share of the ranks' time spent waiting for states.
  ///
  /// A rank's own time counts: one that came early to a step, while rank 0 still wrote files, waited longer.
  public var waitShare: Double {
    let all = ranks.reduce(0) { $0 + $1.seconds }
    return all > 0 ? ranks.reduce(0) { $0 + $1.stateWaitSeconds } / all : 0
  }
}
