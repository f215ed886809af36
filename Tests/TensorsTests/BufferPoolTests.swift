import Testing

@testable import Tensors

/// What the pool keeps for later.
struct BufferPoolTests {
  @Test("a step that repeats finds all its memory, whatever it asked for before")
  func repeatedSizesAreServedFromTheCache() {
    let pool = BufferPool(reserving: true)
    func step() {
      var held: [Buffer] = []
      for count in [1 << 20, 3 << 20, 1 << 24] { held.append(Buffer(count: count, pool: pool)) }
      held.removeAll()
      held.append(Buffer(count: 1 << 22, pool: pool))
    }
    step()
    let warm = pool.statistics.allocations
    for _ in 0..<5 { step() }
    #expect(pool.statistics.allocations == warm)
  }

  @Test("buffers that grow, as the keys of a text do, leave at most twice what is in use behind")
  func growingSizesDoNotPileUp() {
    let pool = BufferPool(reserving: true)
    var kept: Buffer?
    for count in 1...400 { kept = Buffer(count: count << 18, pool: pool) }
    let statistics = pool.statistics
    #expect(kept?.count == 400 << 18)
    #expect(statistics.held <= 2 * statistics.peak + (64 << 20), "\(statistics)")
  }

  @Test("where sizes vary from step to step, little is cached beside what is in use")
  func varyingSizesShareBlocks() {
    let pool = BufferPool()
    pool.expectVaryingSizes()
    var numbers = SystemRandomNumberGenerator()
    for _ in 0..<200 {
      var held: [Buffer] = []
      for _ in 0..<20 {
        let buffer = Buffer(count: .random(in: 1000...100_000, using: &numbers), pool: pool)
        // Whoever has a block has all of it for himself.
        for other in held {
          #expect(
            buffer.pointer + buffer.count <= other.pointer
              || other.pointer + other.count <= buffer.pointer)
        }
        held.append(buffer)
        if Bool.random(using: &numbers) { held.removeFirst() }
      }
    }
    let statistics = pool.statistics
    #expect(statistics.inUse == 0)
    #expect(statistics.held <= statistics.mostOfVaryingSizes, "\(statistics)")
    #expect(statistics.mostOfVaryingSizes == statistics.peak * 5 / 4 + (1 << 20))
    // What it asks for again it finds.
    let allocations = statistics.allocations
    for _ in 0..<10 { _ = Buffer(count: 50_000, pool: pool) }
    #expect(pool.statistics.allocations <= allocations + 1)
    pool.trim()
    #expect(pool.statistics.held == 0)
  }

  @Test func aReleasedBufferIsGivenOutAgain() {
    let pool = BufferPool()
    for _ in 0..<10 { _ = Buffer(count: 100_000, pool: pool) }
    #expect(pool.statistics.allocations == 1)
    #expect(pool.statistics.inUse == 0)
    #expect(pool.statistics.peak == BufferPool.sizeClass(bytes: 400_000))
  }

  @Test(arguments: [1, 255, 257, 4096, 1_000_000, 123_456_789])
  func aSizeClassWastesAtMostAnEighth(bytes: Int) {
    let size = BufferPool.sizeClass(bytes: bytes)
    #expect(size >= bytes)
    #expect(size - max(bytes, 256) <= max(bytes / 8, 64))
  }
}
