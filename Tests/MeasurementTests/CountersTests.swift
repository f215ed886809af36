import Glibc
import Testing

@testable import Measurement

@Suite("Counters")
struct CountersTests {
  /// Computes until the calling thread has had a core for so long, by its own clock and by the other.
  private func work(_ seconds: Double) {
    let (start, began) = (Clock.threadSeconds, Clock.seconds)
    while Clock.threadSeconds - start < seconds || Clock.seconds - began < seconds {}
  }

  @Test("A core that a rank has while it computes counts, and not one that it has while it waits")
  func processor() {
    let counters = Counters()
    counters.reset()
    counters.measure(.projections) { work(0.01) }
    let computed = counters.computeProcessorSeconds
    #expect(computed >= 0.01 && computed <= counters.computeSeconds)
    counters.measure(.normsAndGates) {
      counters.measure(.stateWait) { work(0.01) }
    }
    #expect(counters.computeProcessorSeconds < computed + 0.01)
    #expect(counters.seconds(.stateWait) >= 0.01)
    // What is slept through is computing without a core.
    counters.measure(.head) { _ = usleep(20_000) }
    #expect(counters.computeSeconds - counters.computeProcessorSeconds >= 0.02)
  }

  @Test("What the kernel counts of a process only grows")
  func usage() {
    let before = ProcessUsage.now
    // Pages that no thread has touched before, which an allocator may not give.
    let bytes = 8 << 20
    let room = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
    for page in stride(from: 0, to: bytes, by: 4096) {
      room.storeBytes(of: 1, toByteOffset: page, as: UInt8.self)
    }
    munmap(room, bytes)
    let added = ProcessUsage.now - before
    #expect(added.minorFaults > 0 && added.involuntarySwitches >= 0)
    #expect(added.peakMemoryBytes >= 8 << 20)
  }
}
