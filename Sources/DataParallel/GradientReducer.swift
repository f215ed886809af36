import Autodiff
import Measurement
import MessagePassing
import Tensors

/// Sums the gradients of all ranks that hold the same weights, while the backward pass still runs.
///
/// Concretely: the flat gradient buffer is cut into buckets of whole regions, last region first; a bucket's
/// all-reduce is posted the moment the tape says that its regions are complete, in the same order on every
/// rank, and driven by the workspace's poll.
///
/// - Source: the bucketing of PyTorch DDP (Li et al., VLDB 2020).
public final class GradientReducer {
  private let store: WholeParameters
  private let group: any Communicator
  private let counters: Counters
  private let bucketBytes: Int
  private var open: Range<Int>?
  private var posted: [Bucket] = []
  private var reduced = 0

  private final class Bucket {
    private let range: Range<Int>
    private var request: Request?

    init(_ range: Range<Int>, _ request: consuming Request) {
      self.range = range
      self.request = consume request
    }

    func test() throws -> Bool {
      guard request != nil else { return true }
      guard try request!.test() else { return false }
      request = nil
      return true
    }

    func wait(polling: () throws -> Void) throws {
      guard let request = request.take() else { return }
      try request.wait(
        for: "the reduction of gradients \(range.lowerBound)..<\(range.upperBound)",
        polling: polling)
    }
  }

  /// Makes a reducer.
  ///
  /// - Parameters:
  ///   - group: The ranks that hold the same weights, on a communicator of their own.
  ///   - bucketBytes: The least bytes worth a reduction of their own.
  public init(
    store: WholeParameters, group: any Communicator, counters: Counters, bucketBytes: Int
  ) {
    self.store = store
    self.group = group
    self.counters = counters
    self.bucketBytes = bucketBytes
  }

  /// Bytes that a rank sends for an all-reduce of `bytes` over `ranks`: `2 (P − 1) / P · bytes`, what an
  /// all-reduce that wastes no bandwidth sends.
  public static func bytesSent(reducing bytes: Int, ranks: Int) -> Int {
    2 * (ranks - 1) * bytes / ranks
  }

  /// Takes note that a region's gradients are complete; regions come from the last to the first.
  public func complete(region: Int) throws {
    let range = store.table.regions[region].range
    let bucket =
      open.map {
        precondition(
          range.upperBound == $0.lowerBound, "region \(region) at \(range) does not precede \($0)")
        return range.lowerBound..<$0.upperBound
      } ?? range
    open = bucket
    if 4 * bucket.count >= bucketBytes || bucket.lowerBound == 0 { try post() }
  }

  /// Lets reductions under way progress.
  public func poll() throws {
    while let first = posted.first, try first.test() { posted.removeFirst() }
  }

  /// Waits for all buckets of this step.
  public func finish(polling: () throws -> Void) throws {
    if open != nil { try post() }
    precondition(
      reduced == store.table.count, "\(reduced) of \(store.table.count) gradients were complete")
    try counters.measure(.reduce) {
      for bucket in posted { try bucket.wait(polling: polling) }
    }
    posted = []
    reduced = 0
  }

  private func post() throws {
    guard let range = open, let gradients = store.gradients else { return }
    open = nil
    reduced += range.count
    guard group.size > 1, !range.isEmpty else { return }
    let buffer = UnsafeMutableBufferPointer(
      start: gradients.pointer + range.lowerBound, count: range.count)
    posted.append(Bucket(range, try group.allReduce(buffer, .sum)))
    counters.gradientBytesSent += Self.bytesSent(reducing: 4 * range.count, ranks: group.size)
  }
}
