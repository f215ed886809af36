import Testing

@testable import Measurement

@Suite("Traces")
struct TraceTests {
  @Test("Parts and marks become spans that nest")
  func nesting() throws {
    let counters = Counters()
    let trace = Trace()
    counters.trace = trace
    counters.mark("step") {
      counters.measure(.recurrence) {
        let message = Trace.Message(.states(layer: 2), direction: "forward", bytes: 64)
        counters.mark("send", message) {}
      }
    }
    #expect(trace.spans.map(\.name) == ["send", "recurrence", "step"])
    for (inner, outer) in zip(trace.spans, trace.spans.dropFirst()) {
      #expect(outer.start <= inner.start && inner.end <= outer.end)
    }
  }

  @Test("Without a trace a mark only runs its body")
  func off() {
    func unasked() -> Trace.Message? {
      Issue.record("a message was described though nobody records it")
      return nil
    }
    #expect(Counters().mark("step", unasked()) { 7 } == 7)
  }

  @Test("An arrow's number is the same on two ranks, and another for each message")
  func arrows() {
    let (sender, receiver) = (Trace(), Trace())
    let identities = [[0, 1], [1, 0], [0, 1], [0, 1, 0]]
    let sent = identities.map { sender.arrow($0) }
    #expect(sent == identities.map { receiver.arrow($0) })
    #expect(Set(sent).count == 4)
    #expect(sent.allSatisfy { $0 >= 0 && $0 < 1 << 53 })
  }
}
