import Faults
import Measurement

/// What every computation of a rank uses: memory, threads, and a way to let communication progress.
///
/// It is passed explicitly; there are no globals.
package final class Workspace {
  /// Where tensors and scratch come from.
  package let pool: BufferPool
  /// The rank's threads.
  package let team: ThreadTeam
  /// The rank's figures.
  package let counters = Counters()
  /// What has messages under way.
  package let progress: Progress

  /// Operations of a thread after which a long operation polls: a few milliseconds.
  package var operationsBetweenPolls = 400_000_000
  /// Which library computes matrix products, and in which precision.
  package private(set) var products: any MatrixProducts
  /// What it was chosen as; nil where it is none of the program's own.
  package private(set) var productSettings: ProductSettings?
  private let executor: Executor

  /// Makes a workspace with threads of its own.
  package convenience init(
    threads: Int = 1, executor: Executor = .computing, products: ProductSettings = .plain
  ) {
    self.init(threads: threads, executor: executor) { products.products(team: $0, pool: $1) }
    productSettings = products
  }

  /// Makes a workspace with threads of its own, and with products that are made for its threads and memory.
  package init(
    threads: Int = 1, executor: Executor = .computing,
    makingProducts: (ThreadTeam, BufferPool) -> any MatrixProducts
  ) {
    self.executor = executor
    let isRehearsal = executor == .rehearsing
    progress = Progress(rehearsal: isRehearsal)
    pool = BufferPool(reserving: isRehearsal)
    team = ThreadTeam(size: isRehearsal ? 1 : threads)
    products = makingProducts(team, pool)
  }

  /// Computes products otherwise from now on; no form of a weight may be in use.
  package func use(_ settings: ProductSettings) {
    guard settings != productSettings else { return }
    products = settings.products(team: team, pool: pool)
    productSettings = settings
  }

  /// Called now and then by long operations, so that messages under way move on.
  ///
  /// Open MPI progresses only when it is called. What this does never changes the order of arithmetic.
  package func poll() throws {
    Phase.beat()
    try progress.poll()
  }

  /// Whether other ranks send and receive while this one computes, so that long operations should poll:
  /// ranks of its sequence, or ranks that have the same weights.
  package var hasPeers: Bool { progress.hasPeers }

  /// How many items a long operation may work on before it polls; all where there are no other ranks.
  ///
  /// It depends on sizes and the number of threads alone, never on when a message comes.
  ///
  /// - Parameter operations: What an item takes, in floating-point operations.
  package func itemsBetweenPolls(operations: Int) -> Int {
    hasPeers ? max(1, operationsBetweenPolls * team.size / max(operations, 1)) : .max
  }

  /// What operations of products with weights count as between polls: a quarter where the CPU multiplies bf16, since it is
  /// that much faster there (AMX) or messages may wait for twice a few milliseconds (AVX512-BF16).
  package func operationsBetweenPolls(ofProducts operations: Int) -> Int {
    guard let settings = productSettings, settings.precision == .bf16, !settings.widens else {
      return operations
    }
    return max(1, operations / 4)
  }

  /// Works on items in batches, and polls after each; in one go where there are no other ranks.
  ///
  /// - Parameters:
  ///   - operations: What an item takes, in floating-point operations.
  ///   - least: The fewest items of a batch.
  /// - Throws: What the body or a poll throws.
  @inline(__always)
  package func inBatches(
    _ count: Int, operations: Int, atLeast least: Int = 1, _ body: (Range<Int>) throws -> Void
  ) throws {
    guard count > 0 else { return }
    guard hasPeers else { return try body(0..<count) }
    let size = max(least, itemsBetweenPolls(operations: operations))
    for start in stride(from: 0, to: count, by: size) {
      try body(start..<min(start + size, count))
      try poll()
    }
  }

  /// Computes something on the account of a category; a rehearsal leaves it out.
  @inline(__always)
  package func compute<Failure: Error>(
    _ category: TimeCategory, _ body: () throws(Failure) -> Void
  ) throws(Failure) {
    guard executor == .computing else { return }
    counters.enter(category)
    defer { counters.leave() }
    try body()
  }

  /// Does what touches numbers, on nobody's account; a rehearsal leaves it out.
  @inline(__always)
  package func run<Failure: Error>(
    _ body: () throws(Failure) -> Void
  ) throws(Failure) {
    guard executor == .computing else { return }
    try body()
  }

  /// Works out from numbers what an op goes on with; a rehearsal, in which they are not there, assumes it.
  @inline(__always)
  package func known<Value>(assuming value: @autoclosure () -> Value, _ body: () -> Value) -> Value
  {
    executor == .computing ? body() : value()
  }
}
