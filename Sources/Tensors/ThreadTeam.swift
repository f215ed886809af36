import Faults
import Glibc
import Synchronization

/// The threads of one rank, kept alive between parallel regions.
///
/// The work is cut in equal contiguous parts, one a thread, so which thread does what never depends on
/// timing and results are repeatable. A team of one runs everything in the caller.
package final class ThreadTeam: Sendable {
  /// How many threads work, the caller included.
  package let size: Int
  private let gate: Gate
  private let threads: [pthread_t]

  /// Starts `size − 1` worker threads, which sleep until there is work.
  package init(size: Int) {
    precondition(size >= 1, "a team of \(size) threads")
    self.size = size
    let gate = Gate(workers: size - 1)
    self.gate = gate
    threads = (1..<max(size, 1)).map { index in
      let start = Unmanaged.passRetained(Start(gate: gate, index: index))
      var handle = pthread_t()
      let code = pthread_create(
        &handle, nil,
        { raw in
          let start = Unmanaged<Start>.fromOpaque(raw!).takeRetainedValue()
          start.gate.work(start.index)
          return nil
        }, start.toOpaque())
      guard code == 0 else {
        LastWords.end(
          exhausted: "thread \(index + 1) of \(size) could not be started "
            + "(\(String(cString: strerror(code)))); set threads to fewer, or raise the limits of memory and "
            + "threads (ulimit -v, ulimit -u)")
      }
      return handle
    }
  }

  deinit {
    gate.stop()
    for thread in threads { pthread_join(thread, nil) }
  }

  /// Runs `body` on every part of `0..<count`, in parallel, and returns when all parts are done.
  ///
  /// - Parameters:
  ///   - count: How many items there are.
  ///   - grain: The fewest items worth a thread of their own.
  ///   - body: Works on a range of items; must not throw, nor call `parallel` again.
  package func parallel(_ count: Int, grain: Int = 1, _ body: @Sendable (Range<Int>) -> Void) {
    parallel(count, grain: grain) { _, range in body(range) }
  }

  /// The same for a body that also wants the index of its thread, in `0..<size`, for scratch of its own.
  package func parallel(
    _ count: Int, grain: Int = 1, _ body: @Sendable (_ thread: Int, Range<Int>) -> Void
  ) {
    guard count > 0 else { return }
    let parts = min(size, (count + grain - 1) / grain)
    if parts <= 1 { return body(0, 0..<count) }
    workers { index in
      guard index < parts else { return }
      let range = count * index / parts..<count * (index + 1) / parts
      if !range.isEmpty { body(index, range) }
    }
  }

  /// Runs `body` once on every thread, with the thread's index in `0..<size`.
  package func workers(_ body: @Sendable (Int) -> Void) {
    if size == 1 { return body(0) }
    withoutActuallyEscaping(body) { body in
      gate.open(body)
      body(0)
      gate.waitForAll()
    }
  }

  private final class Start {
    let gate: Gate
    let index: Int
    init(gate: Gate, index: Int) { (self.gate, self.index) = (gate, index) }
  }
}

/// Where a team's workers wait: they spin for some microseconds, since regions follow one another closely,
/// and then sleep.
///
/// Unchecked: the body is set before the generation that workers wait for is counted up, and let go of after they have all counted down.
private final class Gate: @unchecked Sendable {
  private let workers: Int
  private let generation = Atomic<Int>(0)
  private let running = Atomic<Int>(0)
  private let stopping = Atomic<Bool>(false)
  private var body: (@Sendable (Int) -> Void)?
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let spins = 2_000

  init(workers: Int) {
    self.workers = workers
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(wake, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    pthread_cond_destroy(wake)
    mutex.deallocate()
    wake.deallocate()
  }

  func open(_ body: @escaping @Sendable (Int) -> Void) {
    self.body = body
    running.store(workers, ordering: .relaxed)
    pthread_mutex_lock(mutex)
    generation.add(1, ordering: .acquiringAndReleasing)
    pthread_cond_broadcast(wake)
    pthread_mutex_unlock(mutex)
  }

  func waitForAll() {
    var spin = 0
    while running.load(ordering: .acquiring) > 0 {
      spin += 1
      if spin > spins { sched_yield() }
    }
    body = nil
  }

  func stop() {
    stopping.store(true, ordering: .releasing)
    pthread_mutex_lock(mutex)
    generation.add(1, ordering: .acquiringAndReleasing)
    pthread_cond_broadcast(wake)
    pthread_mutex_unlock(mutex)
  }

  /// A function of its own, so that the body is let go of before the caller hears that it has run.
  @inline(never)
  private func run(_ index: Int) { body?(index) }

  func work(_ index: Int) {
    var seen = 0
    while true {
      var spin = 0
      while generation.load(ordering: .acquiring) == seen, spin < spins { spin += 1 }
      if generation.load(ordering: .acquiring) == seen {
        pthread_mutex_lock(mutex)
        while generation.load(ordering: .acquiring) == seen { pthread_cond_wait(wake, mutex) }
        pthread_mutex_unlock(mutex)
      }
      seen += 1
      if stopping.load(ordering: .acquiring) { return }
      run(index)
      running.subtract(1, ordering: .acquiringAndReleasing)
    }
  }
}
