import CommunicatorDoubles
import Testing

@testable import MessagePassing

@Suite("Operations that fail")
struct FailedRequestTests {
  /// Whether calling a request throws the failure of its operation.
  private func fails(_ body: () throws -> Void) -> Bool {
    do { try body() } catch MessagePassingError.library(FailingOperation.name, _) {
      return true
    } catch {
      return false
    }
    return false
  }

  @Test("A request whose test has failed fails again, tested or waited for")
  func request() {
    #expect(
      fails {
        var request = Request(FailingOperation())
        if fails({ _ = try request.test() }) { _ = try request.test() }
      })
    #expect(
      fails {
        var request = Request(FailingOperation())
        guard (try? request.test()) == nil else { return }
        try request.wait(for: "a message")
      })
  }

  @Test("A request that is held fails again, whether a test or a wait met the failure")
  func held() {
    let (tested, waited) = (
      HeldRequest(Request(FailingOperation())), HeldRequest(Request(FailingOperation()))
    )
    #expect(fails { _ = try tested.test() })
    #expect(fails { try waited.wait(for: "a message") })
    for request in [tested, waited] {
      #expect(fails { _ = try request.test() })
      #expect(fails { try request.wait(for: "a message") })
    }
  }

  @Test("A wait that was given up is no arrival")
  func givenUp() {
    struct Interruption: Error {}
    let operation = FailingOperation(Request(NeverDone()))
    let request = HeldRequest(Request(operation))
    #expect(throws: MessagePassingError.self) {
      try request.wait(for: "a message") { throw Interruption() }
    }
    #expect(throws: MessagePassingError.self) { _ = try request.test() }
    #expect(throws: MessagePassingError.self) { try request.wait(for: "a message") }
  }

  private final class NeverDone: PendingOperation {
    let watch = Watch(worldRank: 0)
    func test() -> Bool { false }
    func pause(after elapsed: UInt64) {}
    func cancel() {}
  }
}
