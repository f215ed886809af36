import Tensors
import Testing

@Suite("The peak of products")
struct ProductPeakTests {
  @Test("It is a speed, and the number of threads stays as it was", arguments: Precision.allCases)
  func peak(precision: Precision) throws {
    let settings = try ProductSettings(precision, by: .openblas)
    let threads = BLAS.threads
    var peak = ProductPeak(settings, size: 64)
    for _ in 0..<4 { peak.run() }
    #expect(peak.gigaflops > 0 && peak.gigaflops.isFinite)
    #expect(BLAS.threads == threads)
  }
}
