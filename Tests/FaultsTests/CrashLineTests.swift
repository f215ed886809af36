import Foundation
import Testing

@testable import Faults

/// What is put together in a signal's handler.
@Suite("The line of a crash") struct CrashLineTests {
  @Test("It is text, numbers and the signal's name")
  func text() {
    var line = CrashLine()
    line.add("rank 3 (node7): ")
    line.add(CrashLine.cause(SIGSEGV))
    line.add(" in step ")
    line.add(1207)
    #expect(line.text == "rank 3 (node7): ended by SIGSEGV (an invalid address) in step 1207")
  }

  @Test(
    "Numbers have the digits that are asked for", arguments: [(0, 1), (7, 2), (10, 2), (2026, 4)])
  func numbers(number: Int, digits: Int) {
    var line = CrashLine()
    line.add(number, digits: digits)
    #expect(line.text == String(format: "%0\(digits)d", number))
  }

  @Test("The log's event is JSON with the line, the time and the steps")
  func event() throws {
    var reason = CrashLine()
    reason.add("rank 0 (a\"b\\c): ended")
    var line = CrashLine()
    line.addEndEvent(reason, steps: 41, seconds: 12)
    let json = try #require(
      try JSONSerialization.jsonObject(with: Data(line.text.utf8)) as? [String: Any])
    #expect(json["event"] as? String == "end")
    #expect(json["reason"] as? String == "rank 0 (a'b'c): ended")
    #expect(json["steps"] as? Int == 41 && json["seconds"] as? Int == 12)
    let text = try #require(json["time"] as? String)
    let time = try #require(ISO8601DateFormatter().date(from: text))
    #expect(abs(time.timeIntervalSinceNow) < 60)
  }

  @Test("A line that would be too long is cut")
  func cut() {
    var line = CrashLine()
    for _ in 0..<200 { line.add("0123456789") }
    #expect(line.count == 12 * 64 - 1)
  }
}

/// What a process is at.
@Suite("The phase", .serialized) struct PhaseTests {
  @Test("It has a text, a number and a kind, and within another the one before comes back")
  func nested() {
    Phase.enter("step", 17)
    #expect(Phase.current.text == "step 17" && Phase.current.kind == .working)
    Phase.during("the checkpoint after step", 16, .long) {
      #expect(Phase.current.text == "the checkpoint after step 16" && Phase.current.kind == .long)
    }
    #expect(Phase.current.text == "step 17" && Phase.current.kind == .working)
  }
}
