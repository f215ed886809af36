import Tensors
import Testing

@Suite struct ThreadTeamTests {
  @Test(arguments: [1, 2, 3, 7]) func everyItemIsDoneOnce(size: Int) {
    let team = ThreadTeam(size: size)
    for count in [0, 1, 5, 64, 1000] {
      var done = [Int](repeating: 0, count: count)
      done.withUnsafeMutableBufferPointer { done in
        nonisolated(unsafe) let done = done
        team.parallel(count) { for item in $0 { done[item] += 1 } }
      }
      #expect(done.allSatisfy { $0 == 1 })
    }
  }
}

@Suite struct BufferPoolTests {
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
