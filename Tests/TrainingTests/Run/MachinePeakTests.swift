import Testing

@testable import Training

@Suite("What a machine could reach")
struct MachinePeakTests {
  @Test("The right kernels are what speeds are compared with, and nothing is said")
  func right() {
    let peak = MachinePeak(sgemm: 97, multiplyAdd: 118, core: "Zen")
    #expect(peak.gigaflops == 97 && peak.complaint == nil)
  }

  @Test("Wrong kernels are named, and the machine's own speed is the peak")
  func wrong() throws {
    let peak = MachinePeak(sgemm: 39, multiplyAdd: 110, core: "Prescott")
    #expect(peak.gigaflops == 110)
    #expect(
      try #require(peak.complaint).hasPrefix(
        "OpenBLAS runs Prescott kernels, 39.0 of 110 GFLOP/s; "))
  }
}
