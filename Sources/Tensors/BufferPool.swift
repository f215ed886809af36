import Faults
import Glibc
import Synchronization

/// What a buffer is for, for the account of memory.
package enum BufferKind: Int, CaseIterable, Sendable {
  /// The model's weights.
  case weights
  /// Gradients of weights.
  case gradients
  /// The optimizer's moments.
  case optimizer
  /// What ops remember for the backward pass, and what flows between them.
  case activations
  /// Recurrent states, their gradients, and the messages that carry them.
  case states
  case buffers

  /// How the kind is called in tables.
  package var name: String { "\(self)" }
}

/// A caching allocator of one rank: what is released is kept and given out again.
///
/// The steady state of a training step asks the operating system for nothing: sizes repeat from step to
/// step, so every request finds a released buffer of its size class. Memory is handed out uninitialised,
/// 64-byte aligned; large blocks are whole pages. Where sizes do not repeat, as those of keys that grow with a text,
/// cached blocks go back to the operating system before the pool holds more than twice what was ever in use.
///
/// - Complexity: O(1) a request, once warm.
package final class BufferPool: Sendable {
  private struct Blocks {
    var free: [Int: [UnsafeMutableRawPointer]] = [:]
    var statistics = Statistics()
  }

  /// What the pool holds, in bytes, and how often it had to ask for more.
  package struct Statistics: Sendable {
    /// Bytes given out now.
    package var inUse = 0
    /// The most bytes ever given out at once.
    package var peak = 0
    /// Bytes given out now, by kind.
    package var byKind = [Int](repeating: 0, count: BufferKind.allCases.count)
    /// Bytes by kind when the most were given out.
    package var peakByKind = [Int](repeating: 0, count: BufferKind.allCases.count)
    /// Bytes held from the operating system, given out or cached.
    package var held = 0
    /// Requests that no cached block could serve.
    package var allocations = 0
  }

  private let blocks = Mutex(Blocks())

  private let isReserving: Bool

  /// Makes an empty pool.
  ///
  /// - Parameter reserving: Whether blocks are addresses only, which nobody may touch: for rehearsals.
  package init(reserving: Bool = false) { isReserving = reserving }

  deinit { trim() }

  /// What the pool holds now.
  package var statistics: Statistics { blocks.withLock { $0.statistics } }

  /// Gives cached blocks back to the operating system.
  package func trim() { blocks.withLock { trim(&$0) } }

  private func trim(_ blocks: inout Blocks) {
    for (size, list) in blocks.free {
      list.forEach { release($0, size: size) }
      blocks.statistics.held -= size * list.count
    }
    blocks.free = [:]
  }

  /// Held bytes beyond twice the most in use, from which cached blocks are given back.
  private static let slack = 64 << 20

  /// The size class of a request: at most one eighth more than asked for.
  package static func sizeClass(bytes: Int) -> Int {
    let least = max(bytes, 256)
    let unit = max(64, 1 << (Int.bitWidth - least.leadingZeroBitCount - 4))
    return (least + unit - 1) / unit * unit
  }

  func take(bytes: Int, kind: BufferKind) -> (pointer: UnsafeMutableRawPointer, size: Int) {
    let size = BufferPool.sizeClass(bytes: bytes)
    let cached = blocks.withLock { blocks in
      let block = blocks.free[size]?.popLast()
      if block == nil {
        let statistics = blocks.statistics
        if statistics.held + size > 2 * max(statistics.peak, statistics.inUse + size) + Self.slack {
          trim(&blocks)
        }
        blocks.statistics.held += size
        blocks.statistics.allocations += 1
      }
      blocks.statistics.inUse += size
      blocks.statistics.byKind[kind.rawValue] += size
      if blocks.statistics.inUse > blocks.statistics.peak {
        blocks.statistics.peak = blocks.statistics.inUse
        blocks.statistics.peakByKind = blocks.statistics.byKind
      }
      return block.map { Block(pointer: $0) }
    }
    if let cached { return (cached.pointer, size) }
    if isReserving { return (reserve(size), size) }
    var pointer: UnsafeMutableRawPointer?
    let alignment = size >= 1 << 21 ? 1 << 21 : (size >= 4096 ? 4096 : 64)
    guard posix_memalign(&pointer, alignment, size) == 0, let pointer else {
      LastWords.end(
        exhausted:
          "the system has no more memory: \(size) bytes were asked for, and \(statistics.held) are held; "
          + "--dry-run tells what a run needs, and more ranks, parallel.sharding, training.recompute or "
          + "shorter segments need less")
    }
    if size >= 1 << 21 { madvise(pointer, size, MADV_HUGEPAGE) }
    return (pointer, size)
  }

  func giveBack(_ pointer: UnsafeMutableRawPointer, size: Int, kind: BufferKind) {
    let block = Block(pointer: pointer)
    blocks.withLock { blocks in
      blocks.free[size, default: []].append(block.pointer)
      blocks.statistics.inUse -= size
      blocks.statistics.byKind[kind.rawValue] -= size
    }
  }

  private func reserve(_ size: Int) -> UnsafeMutableRawPointer {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    guard let pointer = mmap(nil, size, PROT_NONE, flags, -1, 0), pointer != MAP_FAILED else {
      LastWords.end(
        exhausted:
          "\(size) bytes of addresses could not be reserved, which a plan of the run needs; its model or "
          + "batch is too large for any machine, or ulimit -v is too low")
    }
    return pointer
  }

  private func release(_ pointer: UnsafeMutableRawPointer, size: Int) {
    if isReserving { munmap(pointer, size) } else { Glibc.free(pointer) }
  }

  /// Unchecked: a block has one holder, the pool or a buffer.
  private struct Block: @unchecked Sendable { let pointer: UnsafeMutableRawPointer }
}

/// A block of pooled memory; it returns to its pool when the last reference goes.
///
/// Unchecked: it is constant; who works on its numbers, and when, is for the ops to say.
package final class Buffer: @unchecked Sendable {
  /// The first element.
  package let pointer: UnsafeMutablePointer<Float>
  /// How many elements were asked for.
  package let count: Int
  private let size: Int
  private let kind: BufferKind
  private let pool: BufferPool

  /// Takes uninitialised room for `count` floats from a pool.
  package init(count: Int, pool: BufferPool, kind: BufferKind = .activations) {
    let block = pool.take(bytes: count * MemoryLayout<Float>.stride, kind: kind)
    pointer = block.pointer.assumingMemoryBound(to: Float.self)
    size = block.size
    self.count = count
    self.kind = kind
    self.pool = pool
  }

  deinit { pool.giveBack(UnsafeMutableRawPointer(pointer), size: size, kind: kind) }
}
