/// What a rank's time goes to.
package enum TimeCategory: Int, CaseIterable, Sendable {
  /// Matrix products with weights.
  case projections
  /// The recurrence kernels.
  case recurrence
  /// Softmax attention.
  case attention
  /// Normalisations, activations, products of gates, sums.
  case normsAndGates
  /// The head and its cross-entropy.
  case head
  /// Embedding look-ups and their gradients.
  case embedding
  /// The optimizer's pass over the weights.
  case optimizer
  /// Reading and preparing tokens.
  case data
  /// Waiting for states of other ranks, and for tokens of experts.
  case stateWait
  /// Waiting for reductions and gathers of gradients, weights and scalars.
  case reduce
  /// Everything else.
  case other

  /// How the category is called in tables and traces.
  package var name: String {
    switch self {
    case .projections: "projections"
    case .recurrence: "recurrence"
    case .attention: "attention"
    case .normsAndGates: "norms and gates"
    case .head: "head"
    case .embedding: "embedding"
    case .optimizer: "optimizer"
    case .data: "data"
    case .stateWait: "state wait"
    case .reduce: "reduce"
    case .other: "other"
    }
  }

  /// Whether the rank waits rather than works.
  package var isWaiting: Bool { self == .stateWait || self == .reduce }

  /// Whether the rank computes: neither waits nor reads.
  package var isComputing: Bool { !isWaiting && self != .data }
}

/// One rank's figures since the last reset: exclusive seconds by category, and bytes sent.
///
/// Categories nest: while an inner one runs, the outer one's clock stands, so the seconds add up to the whole.
package final class Counters {
  /// Bytes of states and state gradients sent to other ranks, headers and halos not counted.
  package var stateBytesSent = 0
  /// Bytes of headers and halos sent beside the states.
  package var haloBytesSent = 0
  /// Bytes of tokens and their gradients sent to experts of other ranks, and back.
  package var expertBytesSent = 0
  /// Bytes of gradients sent for their reduction.
  package var gradientBytesSent = 0
  /// Bytes of sharded weights sent to other ranks.
  package var weightBytesSent = 0
  /// Operations of softmax attention, forward and backward: 12 a pair of a query and a key that it sees, for each
  /// number of a head; what is run again is not counted.
  package var attentionOperations = 0.0
  /// Seconds in which sums of gradients or gathers of sharded weights were under way.
  package private(set) var transferSeconds = 0.0
  /// Seconds of these that the rank spent waiting for them.
  package private(set) var transferWaitSeconds = 0.0
  /// What ops say of their work, by category: how little would have to be done.
  package private(set) var work = [Work](repeating: Work(), count: TimeCategory.allCases.count)
  /// The category that ended last.
  package private(set) var last = TimeCategory.other
  /// Where spans are recorded, if a trace was asked for.
  package var trace: Trace?

  /// What some computation takes at least.
  package struct Work: Sendable {
    /// Floating-point operations of products with weights, whose operands have the run's precision.
    package var productOperations = 0.0
    /// Floating-point operations of recurrences and attention, some of which may read bf16.
    package var operations = 0.0
    /// Bytes of what is read once and of what is written once.
    package var bytes = 0.0
  }

  private var nanoseconds = [UInt64](repeating: 0, count: TimeCategory.allCases.count)
  private var open: [(category: TimeCategory, started: UInt64)] = []
  private var current = TimeCategory.other
  private var since = Clock.nanoseconds
  private var transfers = (open: 0, since: UInt64(0))
  /// Seconds for which the thread had a core while it computed, and what its clock and the other said when that was counted last.
  private var processor = (seconds: 0.0, since: 0.0, began: UInt64(0))

  /// Makes counters that stand at zero.
  package init() {}

  /// Runs `body` on the account of a category.
  @inline(__always)
  package func measure<Result, Failure: Error>(
    _ category: TimeCategory, _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    enter(category)
    defer { leave() }
    return try body()
  }

  /// Begins a category; its clock runs until `leave`.
  package func enter(_ category: TimeCategory) {
    let now = Clock.nanoseconds
    nanoseconds[current.rawValue] += now - since
    if category.isComputing != current.isComputing { countProcessor(until: now) }
    open.append((current, now))
    current = category
    since = now
  }

  /// Ends the category begun last.
  package func leave() {
    let now = Clock.nanoseconds
    nanoseconds[current.rawValue] += now - since
    let (outer, started) = open.removeLast()
    trace?.add(current.name, from: started, to: now)
    if outer.isComputing != current.isComputing { countProcessor(until: now) }
    last = current
    current = outer
    since = now
  }

  /// Counts the thread's own time up, where what it does changes between computing and anything else.
  private func countProcessor(until now: UInt64) {
    let own = Clock.threadSeconds
    if current.isComputing { processor.seconds += processorSeconds(until: now, own) }
    (processor.since, processor.began) = (own, now)
  }

  /// The thread's own time since that last changed: no core is had for longer than the time that passed, though the kernel
  /// may slew one of the two clocks.
  private func processorSeconds(until now: UInt64, _ own: Double) -> Double {
    max(0, min(own - processor.since, Double(now - processor.began) * 1e-9))
  }

  /// Notes what a computation takes at least.
  package func note(
    _ category: TimeCategory, productOperations: Double = 0, operations: Double = 0, bytes: Int = 0
  ) {
    work[category.rawValue].productOperations += productOperations
    work[category.rawValue].operations += operations
    work[category.rawValue].bytes += Double(bytes)
  }

  /// Notes that a sum of gradients, or a gather of weights, is under way from now on.
  package func beginTransfer() {
    if transfers.open == 0 { transfers.since = Clock.nanoseconds }
    transfers.open += 1
  }

  /// Notes that one of them has ended.
  package func endTransfer() {
    transfers.open -= 1
    guard transfers.open == 0 else { return }
    transferSeconds += Double(Clock.nanoseconds - transfers.since) * 1e-9
  }

  /// Runs `body`, which waits for one of them.
  package func awaitTransfer<Failure: Error>(_ body: () throws(Failure) -> Void) throws(Failure) {
    let started = Clock.nanoseconds
    try measure(.reduce, body)
    transferWaitSeconds += Double(Clock.nanoseconds - started) * 1e-9
  }

  /// Runs `body` as a span of the trace, if there is one; it goes to no account of its own.
  @inline(__always)
  package func mark<Result, Failure: Error>(
    _ name: @autoclosure () -> String, _ message: @autoclosure () -> Trace.Message? = nil,
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    guard let trace else { return try body() }
    let started = Clock.nanoseconds
    defer { trace.add(name(), from: started, to: Clock.nanoseconds, message: message()) }
    return try body()
  }

  /// Seconds spent in one category since the last reset.
  package func seconds(_ category: TimeCategory) -> Double {
    let running = category == current ? Clock.nanoseconds - since : 0
    return Double(nanoseconds[category.rawValue] + running) * 1e-9
  }

  /// Seconds of all parts that are not waiting.
  package var computeSeconds: Double {
    TimeCategory.allCases.filter(\.isComputing).reduce(0) { $0 + seconds($1) }
  }

  /// Seconds of computing for which the calling thread, the rank's, had a core; the rest of `computeSeconds` it stood in a
  /// queue for one, or for the disk.
  package var computeProcessorSeconds: Double {
    processor.seconds
      + (current.isComputing ? processorSeconds(until: Clock.nanoseconds, Clock.threadSeconds) : 0)
  }

  /// Sets every figure to zero.
  package func reset() {
    nanoseconds = nanoseconds.map { _ in 0 }
    since = Clock.nanoseconds
    work = work.map { _ in Work() }
    stateBytesSent = 0
    haloBytesSent = 0
    expertBytesSent = 0
    gradientBytesSent = 0
    weightBytesSent = 0
    attentionOperations = 0
    transferSeconds = 0
    transferWaitSeconds = 0
    transfers.since = since
    processor = (0, Clock.threadSeconds, since)
  }
}
