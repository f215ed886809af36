import CommunicatorDoubles
import MessagePassing
import Tensors
import Testing

@testable import SequenceParallel

@Suite("What a workspace moves on while it computes")
struct ProgressTests {
  private struct Failure: Error, Equatable { let number: Int }

  /// An exchange that counts how often it is polled.
  private final class Counted: StateExchange {
    var polls = 0
    func begin(_ problem: SeamProblem) throws -> any StateTransfer {
      try ChainExchange().begin(problem)
    }
    func poll() { polls += 1 }
    func drain() {}
  }

  @Test("is every context's messages, and no longer those of one that is gone")
  func contexts() throws {
    let workspace = Workspace()
    let exchanges = [Counted(), Counted()]
    var contexts = exchanges.map {
      RankContext(workspace: workspace, sequence: SoloCommunicator(), exchange: $0)
    }
    try workspace.poll()
    #expect(exchanges.map(\.polls) == [1, 1])
    contexts.removeFirst()
    try workspace.poll()
    #expect(exchanges.map(\.polls) == [1, 2])
    withExtendedLifetime(contexts) {}
  }

  @Test("has peers as long as one source has")
  func peers() {
    let workspace = Workspace()
    let alone = workspace.progress.add(hasPeers: false) {}
    #expect(!workspace.hasPeers)
    let peers = workspace.progress.add(hasPeers: true) {}
    #expect(workspace.hasPeers)
    peers.remove()
    #expect(!workspace.hasPeers)
    withExtendedLifetime(alone) {}
  }

  @Test("is all that can be, although one source fails; the first failure is thrown")
  func failures() throws {
    let workspace = Workspace()
    var polls = 0
    let sources = [1, 2].map { number in
      workspace.progress.add(hasPeers: false) { throw Failure(number: number) }
    }
    let last = workspace.progress.add(hasPeers: false) { polls += 1 }
    #expect(throws: Failure(number: 1)) { try workspace.poll() }
    #expect(polls == 1)
    sources.forEach { $0.remove() }
    try workspace.poll()
    #expect(polls == 2)
    withExtendedLifetime(last) {}
  }

  @Test("throws again, tested or waited for, what it failed by in a poll")
  func failuresStay() throws {
    let workspace = Workspace()
    let request = HeldRequest(Request(FailingOperation()))
    let source = workspace.progress.add(hasPeers: true) { _ = try request.test() }
    #expect(throws: MessagePassingError.self) { try workspace.poll() }
    source.remove()
    try workspace.poll()
    #expect(throws: MessagePassingError.self) { _ = try request.test() }
    #expect(throws: MessagePassingError.self) { try request.wait(for: "a message") }
  }

  @Test("is left to those who wait for it, in a rehearsal, where a source asks for that")
  func rehearsal() throws {
    for isRehearsal in [false, true] {
      let workspace = Workspace(executor: isRehearsal ? .rehearsing : .computing)
      var polls = 0
      let source = workspace.progress.add(hasPeers: true, movesWhenWaitedFor: true) { polls += 1 }
      try workspace.poll()
      #expect(polls == (isRehearsal ? 0 : 1))
      withExtendedLifetime(source) {}
    }
  }
}
