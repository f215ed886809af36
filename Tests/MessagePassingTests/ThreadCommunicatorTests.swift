import MessagePassing
import Testing

@Suite struct ThreadCommunicatorTests {
  @Test("Threads behave as ranks", arguments: Behaviour.allCases, 1...8)
  func behaves(_ behaviour: Behaviour, ranks: Int) throws {
    try ThreadCommunicator.run(ranks: ranks, deadline: 30) { try behaviour.run($0) }
  }

  @Test("One rank without MPI behaves as any other", arguments: Behaviour.allCases)
  func solo(_ behaviour: Behaviour) throws { try behaviour.run(SoloCommunicator(deadline: 30)) }

  @Test("Results come in rank order", arguments: 1...8)
  func results(ranks: Int) throws {
    let results = try ThreadCommunicator.run(ranks: ranks) { $0.rank * 10 }
    #expect(results == (0..<ranks).map { $0 * 10 })
  }

  struct Broken: Error, Equatable { let rank: Int }

  @Test(
    "A failing rank makes all others throw, and its error is the one that counts", arguments: 2...8)
  func failing(ranks: Int) throws {
    let failing = ranks / 2
    let error = try #require(throws: Broken.self) {
      try ThreadCommunicator.run(ranks: ranks, deadline: 30) { world in
        if world.rank == failing { throw Broken(rank: failing) }
        do {
          try world.synchronize(for: "everybody")
        } catch MessagePassingError.peerFailed(let rank, _) where rank == failing {
          // Whatever comes next throws as well.
          try world.synchronize(for: "everybody again")
        }
      }
    }
    #expect(error == Broken(rank: failing))
  }

  @Test("A rank that fails with a request under way reports its own error")
  func failingUnderWay() throws {
    #expect(throws: Broken(rank: 0)) {
      try ThreadCommunicator.run(ranks: 3, deadline: 30) { world in
        let memory = Memory<Float>(1) { _ in 0 }
        if world.rank == 0 {
          let request = try world.allReduce(memory.buffer, .sum)
          try { throw Broken(rank: 0) }()
          try request.wait(for: "nothing")
        }
        try world.receive(into: memory.bytes, from: 0, tag: 0).wait(for: "rank 0")
      }
    }
  }

  @Test("A request that is thrown away ends the communication of all")
  func dropped() throws {
    let error = try #require(throws: MessagePassingError.self) {
      try ThreadCommunicator.run(ranks: 2, deadline: 30) { world in
        let memory = Memory<Float>(1) { _ in 0 }
        if world.rank == 0 { _ = try world.receive(into: memory.bytes, from: 1, tag: 4) }
        try world.synchronize(for: "everybody")
      }
    }
    #expect("\(error)".contains("message of tag 4 from rank 1 to 0 was thrown away"))
  }

  @Test("Ranks that call different collectives are told so")
  func mismatch() throws {
    let error = try #require(throws: MessagePassingError.self) {
      try ThreadCommunicator.run(ranks: 3, deadline: 30) { world in
        let memory = Memory<Float>(world.rank == 1 ? 4 : 5) { _ in 0 }
        try world.allReduce(memory.buffer, .sum).wait(for: "a sum")
      }
    }
    guard case .collectiveMismatch(let rank, let call, 0, let other) = error else {
      Issue.record("\(error)")
      return
    }
    #expect(rank == 1 && call.contains("elements: 4") && other.contains("elements: 5"))
  }

  @Test("Sums are made in rank order, so that they are bitwise repeatable")
  func repeatable() throws {
    let values: [Float] = [1e8, 1, -1e8, 0.1, 3e-5]
    let sums = try ThreadCommunicator.run(ranks: values.count) { world in
      let memory = Memory<Float>(1) { _ in values[world.rank] }
      try world.allReduce(memory.buffer, .sum).wait(for: "a sum")
      return memory.array[0]
    }
    #expect(sums.allSatisfy { $0 == values.reduce(0, +) })
  }
}
