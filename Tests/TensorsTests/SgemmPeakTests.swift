import Tensors
import Testing

@Suite("The sgemm peak")
struct SgemmPeakTests {
  @Test("It is a speed, and the number of threads stays as it was")
  func peak() {
    let threads = BLAS.threads
    var peak = SgemmPeak(size: 64)
    for _ in 0..<4 { peak.run() }
    #expect(peak.gigaflops > 0 && peak.gigaflops.isFinite)
    #expect(BLAS.threads == threads)
  }
}
