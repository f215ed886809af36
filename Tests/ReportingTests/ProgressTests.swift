import Synchronization
import Testing

@testable import Reporting

@Suite("How far a command is")
struct ProgressTests {
  private let captured = Captured()
  private final class Hand: Sendable {
    let seconds = Mutex(0.0)
  }

  private func show(terminal: Bool, quiet: Bool = false, every: Double, times: Int) {
    let hand = Hand()
    let display = ProgressDisplay(
      "evaluation", output: captured.output(terminal: terminal, width: 60, quiet: quiet),
      clock: { hand.seconds.withLock { $0 } })
    for index in 1...times {
      hand.seconds.withLock { $0 += every }
      display.show(Double(index), of: Double(times))
    }
    display.end()
  }

  @Test("Without a terminal there is a line every ten seconds, and none for what is short")
  func lines() {
    show(terminal: false, every: 6, times: 5)
    #expect(captured.notices == ["evaluation: 40%, 0:18 left", "evaluation: 80%, 0:06 left"])
    #expect(captured.lines.isEmpty && captured.feet.isEmpty)
  }

  @Test("On a terminal a bar stands at the foot, which goes in the end")
  func bar() {
    show(terminal: true, every: 1, times: 2)
    #expect(
      captured.feet == [
        "evaluation [==============>               ]  50%  0:01 left",
        "evaluation [==============================] 100%  0:00 left", "",
      ])
  }

  @Test("What takes a moment, and what is to be quiet, shows nothing", arguments: [true, false])
  func nothing(quiet: Bool) {
    show(terminal: true, quiet: quiet, every: quiet ? 6 : 0.01, times: 5)
    #expect(captured.feet.isEmpty && captured.notices.isEmpty)
  }

  @Test("A warning is coloured where there are colours")
  func warning() {
    captured.output(colour: true).warning("a")
    captured.output().warning("b")
    #expect(captured.notices == ["\u{1b}[33mwarning:\u{1b}[0m a", "warning: b"])
  }

  @Test(
    "A launcher tells where its ranks' output ends",
    arguments: [
      ("/dev/pts/2 -", "/dev/pts/2", nil), ("- /dev/pts/3", nil, "/dev/pts/3"), ("- -", nil, nil),
      ("", nil, nil),
    ] as [(String, String?, String?)])
  func terminals(told: String, output: String?, error: String?) {
    let environment = [
      "TERM": "xterm", "OMPI_COMM_WORLD_RANK": "0", "LASP_TERMINALS": told,
    ]
    #expect(Terminals.find(environment) == Terminals(output: output, error: error))
    #expect(Terminals.find(environment.merging(["TERM": "dumb"]) { $1 }) == Terminals())
  }
}
