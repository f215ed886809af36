import Measurement
import MessagePassing
import Tensors

/// Sums gradients of all ranks that hold the same weights, while the backward pass still runs.
///
/// Concretely: a unit is cut over its owners, one a rank. Every rank sends each owner its part; the owner adds
/// up the ranks' parts in one order (`RankSum`) and, where everybody wants everything, sends the sum to all.
/// Messages go directly, in buckets: a bucket is a slice of every owner's part. A few buckets are under way
/// at once, in the same order on every rank, driven by the workspace's poll; no rank waits for a chain of
/// others, as in a ring.
///
/// - Source: the bucketing of PyTorch DDP (Li et al., VLDB 2020).
final class GradientReducer {
  /// A unit to be summed.
  final class Job {
    /// The unit's first gradient.
    let gradients: UnsafeMutablePointer<Float>
    /// Every rank's part, counted from the unit's first number.
    let parts: [Range<Int>]
    /// What happens to the sum.
    let destination: Destination
    /// What the pointers lie in, held until the sum is complete.
    private(set) var memory: [Buffer]
    /// Buckets that are not complete.
    fileprivate(set) var open: Int

    enum Destination {
      /// Every rank has it, in place.
      case everywhere
      /// Its owner has it, in place.
      case owner
      /// Its owner has it there, added to what is there if `adding`.
      case place(UnsafeMutablePointer<Float>, adding: Bool)
    }

    fileprivate init(
      _ gradients: UnsafeMutablePointer<Float>, parts: [Range<Int>], destination: Destination,
      memory: [Buffer], buckets: Int
    ) {
      (self.gradients, self.parts, self.destination) = (gradients, parts, destination)
      (self.memory, open) = (memory, buckets)
    }

    fileprivate func closeBucket() {
      open -= 1
      if open == 0 { memory = [] }
    }
  }

  /// Buckets that are under way at once.
  static let window = 4

  private let group: any Communicator
  private let workspace: Workspace
  private let transport: GradientTransport
  /// Numbers of a part in a bucket.
  private let slice: Int
  private var jobs: [Job] = []
  private var waiting: [(job: Job, index: Int)] = []
  private var active: [GradientBucket] = []
  private var free: [GradientBucket.Room]
  private var posted = 0
  /// What a sum failed by; no other is right after it.
  private var failure: (any Error)?
  private var registration: Progress.Registration?

  /// Makes a reducer, and takes room for the messages of the buckets under way.
  ///
  /// - Parameters:
  ///   - group: The ranks, more than one, on a communicator of their own.
  ///   - bucketBytes: Gradients of a bucket, over all owners.
  ///   - largestPart: The most numbers that a rank owns of any unit.
  init(
    group: any Communicator, workspace: Workspace, transport: GradientTransport, bucketBytes: Int,
    largestPart: Int
  ) {
    self.group = group
    self.workspace = workspace
    self.transport = transport
    slice = max(1, min(largestPart, max(256, bucketBytes / 4 / group.size)))
    let slice = slice
    free = (0..<Self.window).map { _ in
      GradientBucket.Room(
        slice: slice, ranks: group.size, transport: transport, pool: workspace.pool)
    }
    registration = workspace.progress.add(hasPeers: true, movesWhenWaitedFor: true) {
      [unowned self] in try poll()
    }
  }

  /// Begins the sum of a unit; all ranks call this for the same units in the same order.
  ///
  /// - Parameters:
  ///   - gradients: The unit's first gradient; all stay as they are until the sum is complete.
  ///   - memory: What the pointers lie in; let go of when the sum is complete.
  func reduce(
    _ gradients: UnsafeMutablePointer<Float>, parts: [Range<Int>],
    into destination: Job.Destination,
    memory: [Buffer]
  ) throws {
    let longest = parts.map(\.count).max() ?? 0
    guard longest > 0 else { return }
    let buckets = (longest + slice - 1) / slice
    let job = Job(
      gradients, parts: parts, destination: destination, memory: memory, buckets: buckets)
    jobs.append(job)
    waiting += (0..<buckets).map { (job, $0) }
    workspace.counters.beginTransfer()
    try attempt(start)
  }

  /// Whether sums are under way.
  var isSumming: Bool { !jobs.isEmpty }

  private func poll() throws {
    guard !active.isEmpty else { return }
    try attempt(advance)
  }

  /// Waits until at most `limit` units are being summed.
  func wait(untilAtMost limit: Int, polling: () throws -> Void) throws {
    guard jobs.count > limit else { return }
    try workspace.counters.awaitTransfer {
      while jobs.count > limit {
        try attempt {
          guard let first = active.first else { preconditionFailure("sums without a bucket") }
          try first.wait(polling: polling)
          try advance()
        }
      }
    }
  }

  /// Goes on with the sums, unless one has failed before: its error is thrown again then.
  private func attempt(_ body: () throws -> Void) throws {
    if let failure { throw failure }
    do { try body() } catch {
      failure = failure ?? error
      throw error
    }
  }

  private func advance() throws {
    var isFirstUnsummed = true
    for bucket in active where !bucket.isComplete {
      // Sums are formed in the order of the buckets, so that what is added to earlier sums has one order too.
      try bucket.advance(maySum: isFirstUnsummed)
      isFirstUnsummed = isFirstUnsummed && bucket.isSummed
    }
    active.removeAll { bucket in
      guard bucket.isComplete else { return false }
      free.append(bucket.room)
      bucket.job.closeBucket()
      return true
    }
    let open = jobs.count
    jobs.removeAll { $0.open == 0 }
    for _ in jobs.count..<open { workspace.counters.endTransfer() }
    try start()
  }

  /// Begins as many buckets as there is room for.
  private func start() throws {
    while active.count < Self.window, !waiting.isEmpty {
      let (job, index) = waiting.removeFirst()
      let bucket = GradientBucket(
        job, index: index, slice: slice, number: posted, room: free.removeLast(), group: group,
        workspace: workspace, transport: transport)
      posted += 1
      try bucket.begin()
      active.append(bucket)
    }
  }
}
