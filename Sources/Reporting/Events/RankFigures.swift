import Measurement

/// What one rank did in a step.
package struct RankFigures: Sendable, Equatable {
  /// Seconds that the step took on this rank.
  package var seconds = 0.0
  /// Seconds of computing.
  package var computeSeconds = 0.0
  /// Seconds of waiting for states.
  package var stateWaitSeconds = 0.0
  /// Seconds of waiting for reductions.
  package var reduceSeconds = 0.0
  /// Seconds of preparing tokens.
  package var dataSeconds = 0.0
  /// Bytes of states and state gradients sent.
  package var stateBytesSent = 0
  /// Bytes of headers and halos sent beside them.
  package var haloBytesSent = 0
  /// Seconds in which sums of gradients or gathers of weights were under way.
  package var transferSeconds = 0.0
  /// Seconds of these that the rank waited for them.
  package var transferWaitSeconds = 0.0
  /// Bytes of gradients sent for their reduction.
  package var gradientBytesSent = 0
  /// Bytes of sharded weights sent.
  package var weightBytesSent = 0
  /// Operations of softmax attention.
  package var attentionOperations = 0.0
  /// The most memory the process ever had.
  package var peakMemoryBytes = 0

  /// Reads a rank's counters.
  ///
  /// - Parameter seconds: What the step took.
  package init(_ counters: Counters, seconds: Double) {
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

  /// The figures as numbers that travel between ranks.
  package var numbers: [Double] {
    [
      computeSeconds, stateWaitSeconds, reduceSeconds, dataSeconds, transferSeconds,
      transferWaitSeconds, seconds, attentionOperations,
    ]
      + [stateBytesSent, haloBytesSent, gradientBytesSent, weightBytesSent, peakMemoryBytes]
      .map(Double.init)
  }

  /// Reads what `numbers` gave.
  package init(_ numbers: some RandomAccessCollection<Double>) {
    let n = Array(numbers)
    (computeSeconds, stateWaitSeconds, reduceSeconds, dataSeconds) = (n[0], n[1], n[2], n[3])
    (transferSeconds, transferWaitSeconds, seconds) = (n[4], n[5], n[6])
    attentionOperations = n[7]
    (stateBytesSent, haloBytesSent, gradientBytesSent) = (Int(n[8]), Int(n[9]), Int(n[10]))
    (weightBytesSent, peakMemoryBytes) = (Int(n[11]), Int(n[12]))
  }
}
