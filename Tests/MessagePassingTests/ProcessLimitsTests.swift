import Testing

@testable import MessagePassing

@Suite("Limits of a process")
struct ProcessLimitsTests {
  @Test("Too few addresses or files are told with what is left and what is needed")
  func complains() {
    func complaint(_ addresses: Int?, _ files: Int?) -> String? {
      ProcessLimits.complaint(addresses: addresses, needed: 500 << 20, files: files)
    }
    #expect(complaint(nil, nil) == nil)
    #expect(complaint(500 << 20, 64) == nil)
    let few = complaint((500 << 20) - 1, nil)
    #expect(few?.hasPrefix("ulimit -v leaves a rank 499 MiB of addresses") == true)
    #expect(few?.contains("take 500 MiB") == true)
    #expect(complaint(nil, 20)?.hasPrefix("ulimit -n lets a rank open 20 files") == true)
  }

  @Test("A number of threads that overflows any limit is no number")
  func threads() {
    // Without a limit nothing is refused; with one, as many threads as this are.
    #expect((ProcessLimits.complaint(threads: .max) == nil) == (ProcessLimits.addressesLeft == nil))
  }
}
