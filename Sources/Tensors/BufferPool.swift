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
/// cached blocks go back to the operating system before the pool holds more than twice what was ever in use. Where they are
/// known to differ from step to step, as the rows of experts do, requests also get larger blocks, and the pool holds less beside.
///
/// - Complexity: O(1) a request, once warm.
package final class BufferPool: Sendable {
  private struct Blocks {
    /// Of each size those that are cached, the longest cached first.
    var free: [Int: [CachedBlock]] = [:]
    var statistics = Statistics()
    var sizesVary = false
    /// Blocks that came back so far.
    var returned = 0
  }

  /// Unchecked: a block has one holder, the pool or a buffer.
  private struct CachedBlock: @unchecked Sendable {
    let pointer: UnsafeMutableRawPointer
    /// When it came back.
    let since: Int
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

    /// The most bytes that are held where sizes differ from step to step.
    package var mostOfVaryingSizes: Int { BufferPool.limit(peak: peak) }
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
      list.forEach { release($0.pointer, size: size) }
      blocks.statistics.held -= size * list.count
    }
    blocks.free = [:]
  }

  /// Held bytes beyond twice the most in use, from which cached blocks are given back.
  private static let slack = 64 << 20

  /// Takes note that requests differ from step to step, so that a block of just their size is often not there.
  package func expectVaryingSizes() { blocks.withLock { $0.sizesVary = true } }

  /// Whether they do.
  package var sizesVary: Bool { blocks.withLock { $0.sizesVary } }

  /// The most bytes that are held where sizes vary: a quarter more than were ever in use.
  private static func limit(peak: Int) -> Int { peak + peak / 4 + (1 << 20) }

  /// Makes room for a block that no cached one can stand for, where sizes vary: those that were cached the longest go.
  private func makeRoom(for size: Int, in blocks: inout Blocks) {
    let limit = Self.limit(peak: max(blocks.statistics.peak, blocks.statistics.inUse + size))
    while blocks.statistics.held + size > limit,
      let old = blocks.free.filter({ !$0.value.isEmpty })
        .min(by: { $0.value[0].since < $1.value[0].since })?.key,
      let block = blocks.free[old]?.removeFirst()
    {
      release(block.pointer, size: old)
      blocks.statistics.held -= old
    }
  }

  /// The size of a cached block for a request: where sizes vary, up to a quarter more than its class.
  private static func fitting(_ size: Int, in blocks: Blocks) -> Int? {
    if blocks.free[size]?.isEmpty == false { return size }
    guard blocks.sizesVary else { return nil }
    let sizes = size...size + size / 4
    return blocks.free.filter { sizes.contains($0.key) && !$0.value.isEmpty }.keys.min()
  }

  /// The size class of a request: at most one eighth more than asked for.
  package static func sizeClass(bytes: Int) -> Int {
    let least = max(bytes, 256)
    let unit = max(64, 1 << (Int.bitWidth - least.leadingZeroBitCount - 4))
    return (least + unit - 1) / unit * unit
  }

  /// Room of the pool's.
  ///
  /// Unchecked: a block has one holder, the pool or a buffer.
  struct Block: @unchecked Sendable {
    let pointer: UnsafeMutableRawPointer
    /// Its bytes, and those of the class that was asked for.
    let size, asked: Int
  }

  func take(bytes: Int, kind: BufferKind) -> Block {
    let size = BufferPool.sizeClass(bytes: bytes)
    let cached = blocks.withLock { blocks in
      let fitting = Self.fitting(size, in: blocks)
      let block = fitting.flatMap { fitting in
        blocks.free[fitting]?.popLast().map {
          Block(pointer: $0.pointer, size: fitting, asked: size)
        }
      }
      if block == nil {
        let statistics = blocks.statistics
        if blocks.sizesVary {
          makeRoom(for: size, in: &blocks)
        } else if statistics.held + size
          > 2 * max(statistics.peak, statistics.inUse + size) + Self.slack
        {
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
      return block
    }
    return cached ?? Block(pointer: allocate(size), size: size, asked: size)
  }

  private func allocate(_ size: Int) -> UnsafeMutableRawPointer {
    if isReserving { return reserve(size) }
    var pointer: UnsafeMutableRawPointer?
    if size >= Self.leastMapped {
      pointer = map(size)
    } else {
      let failed = posix_memalign(&pointer, size >= 4096 ? 4096 : 64, size) != 0
      if failed { pointer = nil }
    }
    guard let pointer else {
      LastWords.end(
        exhausted:
          "the system has no more memory: \(size) bytes were asked for, and \(statistics.held) are held; "
          + "--dry-run tells what a run needs, and more ranks, parallel.sharding, training.recompute or "
          + "shorter segments need less")
    }
    return pointer
  }

  /// Blocks from which on each is a mapping of its own, so that giving one back gives it to the operating system.
  private static let leastMapped = 1 << 18

  /// A mapping; of large pages where it has room for one.
  private func map(_ size: Int) -> UnsafeMutableRawPointer? {
    let page = 1 << 21
    let isLarge = size >= page
    let length = isLarge ? size + page : size
    let flags = MAP_PRIVATE | MAP_ANONYMOUS
    guard let start = mmap(nil, length, PROT_READ | PROT_WRITE, flags, -1, 0), start != MAP_FAILED
    else { return nil }
    guard isLarge else { return start }
    let before = (page - Int(bitPattern: start) % page) % page
    if before > 0 { munmap(start, before) }
    if before < page { munmap(start + before + size, page - before) }
    madvise(start + before, size, MADV_HUGEPAGE)
    return start + before
  }

  func giveBack(_ block: Block, kind: BufferKind) {
    blocks.withLock { blocks in
      blocks.returned += 1
      blocks.free[block.size, default: []].append(
        CachedBlock(pointer: block.pointer, since: blocks.returned))
      blocks.statistics.inUse -= block.asked
      blocks.statistics.byKind[kind.rawValue] -= block.asked
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
    if isReserving || size >= Self.leastMapped {
      munmap(pointer, size)
    } else {
      Glibc.free(pointer)
    }
  }
}

/// A block of pooled memory; it returns to its pool when the last reference goes.
///
/// Unchecked: it is constant; who works on its numbers, and when, is for the ops to say.
package final class Buffer: @unchecked Sendable {
  /// The first element.
  package let pointer: UnsafeMutablePointer<Float>
  /// How many elements were asked for.
  package let count: Int
  private let block: BufferPool.Block
  private let kind: BufferKind
  private let pool: BufferPool

  /// Takes uninitialised room for `count` floats from a pool.
  package init(count: Int, pool: BufferPool, kind: BufferKind = .activations) {
    block = pool.take(bytes: count * MemoryLayout<Float>.stride, kind: kind)
    pointer = block.pointer.assumingMemoryBound(to: Float.self)
    self.count = count
    self.kind = kind
    self.pool = pool
  }

  deinit { pool.giveBack(block, kind: kind) }
}
