import Foundation
import Testing

@testable import MessagePassing

/// Whom a rank blames that has waited too long.
@Suite("Who holds all others up") struct VerdictTests {
  private func waiting(_ rank: Int, for peers: [Int]?, _ purpose: String = "a state") -> RankReport
  {
    RankReport(
      rank: rank, host: "node\(rank)", process: Int32(100 + rank), phase: "step 7",
      .waiting(.init(purpose: purpose, seconds: 5.04, peers: peers)))
  }

  private func working(_ rank: Int, idle: Double, isLong: Bool = false) -> RankReport {
    RankReport(
      rank: rank, host: "node\(rank)", process: Int32(100 + rank), phase: "step 7",
      phaseSeconds: 9, .working(idle: idle, isLong: isLong))
  }

  private func silent(_ rank: Int, isStopped: Bool) -> RankReport {
    RankReport(
      rank: rank, host: "node\(rank)", process: Int32(100 + rank), .silent(isStopped: isStopped))
  }

  @Test("A rank that is stopped is named, and who waits for it, however long the chain to it is")
  func chain() {
    let reports = [
      waiting(1, for: [2], "state of layer 3 from rank 2"), silent(2, isStopped: true),
    ]
    #expect(
      Verdict(of: 0, waitingFor: [1], reports, limit: 5)
        == .end(
          "rank 2 (node2, process 102) is stopped, for which rank 1 waits (state of layer 3 from rank 2)"
        ))
    #expect(
      Verdict(of: 0, waitingFor: [2], reports, limit: 5)
        == .end("rank 2 (node2, process 102) is stopped"))
  }

  @Test("A rank whose host cannot be reached, and one that has ended, are named")
  func absent() {
    let lost = RankReport(rank: 3, host: "node3", process: 103, .absent)
    #expect(
      Verdict(of: 0, waitingFor: nil, [waiting(1, for: [3]), lost], limit: 5)
        == .end(
          "rank 3 (node3, process 103) is not there: it has ended, runs another program, or cannot be reached"
        ))
    #expect(
      Verdict(of: 0, waitingFor: [3], [silent(3, isStopped: false)], limit: 5)
        == .end("rank 3 (node3, process 103) stands still and does not answer"))
  }

  @Test("A rank that works is waited for; one that shows no progress is named")
  func working() {
    let chain = [waiting(1, for: [2])]
    #expect(
      Verdict(of: 0, waitingFor: [1], chain + [working(2, idle: 0.2)], limit: 5) == .waitOn)
    #expect(
      Verdict(of: 0, waitingFor: [1], chain + [working(2, idle: 6)], limit: 5)
        == .end(
          "rank 2 (node2, process 102) has been in step 7 for 9.0 s, the last 6.0 s without progress, for which "
            + "rank 1 waits (a state)"))
  }

  @Test("A rank that writes a checkpoint is waited for, whatever progress it shows")
  func long() {
    #expect(
      Verdict(of: 0, waitingFor: [1], [working(1, idle: 60, isLong: true)], limit: 5) == .waitOn)
  }

  @Test("Where all ranks wait, the message says for what")
  func all() {
    let reports = [waiting(2, for: [0], "a gradient"), waiting(1, for: [2])]
    #expect(
      Verdict(of: 0, waitingFor: [1], reports, limit: 5)
        == .end(
          "all ranks wait: rank 1 (node1, process 101) for a state (5.0 s), rank 2 (node2, process 102) for a "
            + "gradient (5.0 s)"))
  }

  @Test("A rank that works elsewhere is not blamed by those who do not wait for it")
  func elsewhere() {
    // 3 works, but 0 and 1 wait for each other.
    let reports = [waiting(1, for: [0]), working(3, idle: 0)]
    guard case .end = Verdict(of: 0, waitingFor: [1], reports, limit: 5) else {
      Issue.record("ranks that wait for each other wait on")
      return
    }
  }

  @Test("What a process tells of itself is read back as it was")
  func line() {
    let reports = [
      waiting(1, for: [2, 3], "state of layer 3 from rank 2"), waiting(1, for: nil),
      working(1, idle: 0.25), working(1, idle: 3, isLong: true),
    ]
    for report in reports { #expect(RankReport(line: report.line) == report) }
    for line in ["", "1", "1\tnode\t3\tstep\tsoon\tworking\t2", "GET / HTTP/1.1"] {
      #expect(RankReport(line: line) == nil)
    }
  }
}

/// Questions over sockets of this machine.
@Suite("Questions to other processes") struct WatchInquiryTests {
  @Test(
    "What listens answers, what does not take part is silent, and what is not there is unreachable")
  func replies() throws {
    let job = "test \(UInt64.random(in: 0...UInt64.max))"
    let addresses = (0..<3).map { WatchAddress(job: job, launchRank: $0) }
    let (answering, deaf) = (WatchListener(), WatchListener())
    #expect(answering.listen(at: addresses[0]) == 0 && deaf.listen(at: addresses[1]) == 0)
    let port = try #require(answering.listen(at: WatchAddress(host: "127.0.0.1", port: 0)!))
    let far = try #require(WatchAddress(host: "127.0.0.1", port: port))
    let server = Thread {
      while !Thread.current.isCancelled {
        answering.serve(milliseconds: 20) { line, isOwn in "\(line) \(isOwn)" }
      }
    }
    server.start()
    defer { server.cancel() }
    let replies = WatchInquiry.ask(addresses + [far], "ask me", patience: 0.5)
    #expect(
      replies == [
        .line("ask me true"), .silence(process: getpid()), .unreachable, .line("ask me false"),
      ])
  }
}
