import Measurement
import MessagePassing

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
  /// Bytes of tokens and their gradients sent to experts of other ranks, and back.
  package var expertBytesSent = 0
  /// Operations of softmax attention.
  package var attentionOperations = 0.0
  /// The most memory the process ever had.
  package var peakMemoryBytes = 0
  /// Seconds of computing for which the rank's thread had a core.
  package var computeProcessorSeconds = 0.0
  /// How often threads of its process were taken off their cores, how many pages they touched for the first time, and how many of
  /// them had to be read from a disk.
  package var involuntarySwitches = 0, minorFaults = 0, majorFaults = 0
  /// What stood between its host's processes and the processors since that was last looked at; nil where that is not long ago.
  package var pressure: ProcessorPressure?

  /// Nothing.
  package init() {}

  /// Reads a rank's counters.
  ///
  /// - Parameters:
  ///   - seconds: What the step took.
  ///   - usage: What the kernel counted of the process in the step.
  ///   - pressure: What stood between it and the processors, where that was looked at.
  package init(
    _ counters: Counters, seconds: Double, usage: ProcessUsage = .now,
    pressure: ProcessorPressure? = nil
  ) {
    self.seconds = seconds
    computeProcessorSeconds = counters.computeProcessorSeconds
    involuntarySwitches = usage.involuntarySwitches
    (minorFaults, majorFaults) = (usage.minorFaults, usage.majorFaults)
    self.pressure = pressure
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
    expertBytesSent = counters.expertBytesSent
    attentionOperations = counters.attentionOperations
    peakMemoryBytes = usage.peakMemoryBytes
  }

  /// The figures as numbers that travel between ranks.
  package var numbers: [Double] {
    [
      computeSeconds, stateWaitSeconds, reduceSeconds, dataSeconds, transferSeconds,
      transferWaitSeconds, seconds, attentionOperations, computeProcessorSeconds,
      pressure?.throttledSeconds ?? 0, pressure?.waitingSeconds ?? -1, pressure?.load ?? -1,
    ]
      + [
        stateBytesSent, haloBytesSent, gradientBytesSent, weightBytesSent, peakMemoryBytes,
        involuntarySwitches, minorFaults, majorFaults, expertBytesSent,
      ].map(Double.init)
  }

  /// Reads what `numbers` gave.
  package init(_ numbers: some RandomAccessCollection<Double>) {
    let n = Array(numbers)
    (computeSeconds, stateWaitSeconds, reduceSeconds, dataSeconds) = (n[0], n[1], n[2], n[3])
    (transferSeconds, transferWaitSeconds, seconds) = (n[4], n[5], n[6])
    (attentionOperations, computeProcessorSeconds) = (n[7], n[8])
    if n[11] >= 0 {
      pressure = ProcessorPressure(
        throttledSeconds: n[9], waitingSeconds: n[10] < 0 ? nil : n[10], load: n[11])
    }
    let counts = n[12...].map { Int($0) }
    (stateBytesSent, haloBytesSent, gradientBytesSent) = (counts[0], counts[1], counts[2])
    (weightBytesSent, peakMemoryBytes, involuntarySwitches) = (counts[3], counts[4], counts[5])
    (minorFaults, majorFaults, expertBytesSent) = (counts[6], counts[7], counts[8])
  }
}
