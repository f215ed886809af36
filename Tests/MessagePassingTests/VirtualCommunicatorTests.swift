import Foundation
import Testing

@testable import MessagePassing

/// Runs `body` as virtual ranks of processes that are threads here; what all gave, in rank order.
private func run<T: Sendable>(
  ranks: Int, processes: Int, _ body: @Sendable (any Communicator) throws -> T
) throws -> [T] {
  try ThreadCommunicator.run(ranks: processes, deadline: 30) { process in
    try process.run(virtualRanks: ranks, body)
  }.flatMap { $0 }
}

/// Numbers whose sum depends on the order in which they are added.
private func uneven(_ rank: Int, _ index: Int) -> Float {
  let bits = UInt32(truncatingIfNeeded: (rank * 7919 + index * 104_729) &* 2_654_435_761)
  return (Float(bits >> 8) / Float(1 << 24) - 0.5) * Float(1 << (bits & 15))
}

@Suite struct VirtualCommunicatorTests {
  @Test(
    "Virtual ranks behave as ranks, whatever processes they are on", arguments: Behaviour.allCases,
    [(1, 1), (3, 1), (8, 1), (2, 2), (6, 2), (6, 3), (8, 4)])
  func behaves(_ behaviour: Behaviour, shape: (ranks: Int, processes: Int)) throws {
    _ = try run(ranks: shape.ranks, processes: shape.processes) { try behaviour.run($0) }
  }

  @Test("Parts of the world behave as the world", arguments: Behaviour.allCases)
  func splits(_ behaviour: Behaviour) throws {
    _ = try run(ranks: 8, processes: 4) { world in
      try behaviour.run(try world.split(color: world.rank % 3, key: -world.rank))
    }
  }

  @Test(
    "Reductions have the same bits on any number of processes, and are those of the halved ranks",
    arguments: [(8, [1, 2, 4, 8]), (6, [1, 2, 3, 6]), (5, [1, 5])])
  func bits(ranks: Int, processes: [Int]) throws {
    let count = 40_001
    /// The sum of the lower half and that of the upper half, and so on.
    func sum(_ ranks: Range<Int>, _ index: Int) -> Float {
      guard ranks.count > 1 else { return uneven(ranks.lowerBound, index) }
      let middle = ranks.lowerBound + (ranks.count + 1) / 2
      return sum(ranks.lowerBound..<middle, index) + sum(middle..<ranks.upperBound, index)
    }
    let expected = (0..<count).map { sum(0..<ranks, $0) }
    #expect(expected != (0..<count).map { i in (0..<ranks).reduce(0) { $0 + uneven($1, i) } })
    for processes in processes {
      let results = try run(ranks: ranks, processes: processes) { world in
        let all = Memory<Float>(count) { uneven(world.rank, $0) }
        try world.allReduce(all.buffer, .sum).wait(for: "a sum")
        let few = Memory<Float>(3) { uneven(world.rank, $0) }
        try world.allReduce(few.buffer, .sum).wait(for: "a small sum")
        let counts = (0..<ranks).map { count * ($0 + 1) / ranks - count * $0 / ranks }
        let source = Memory<Float>(count) { uneven(world.rank, $0) }
        let mine = Memory<Float>(counts[world.rank]) { _ in 0 }
        try world.reduceScatter(source.buffer, into: mine.buffer, counts: counts)
          .wait(for: "a part of the sum")
        let isKept = source.array == (0..<count).map { uneven(world.rank, $0) }
        return (all.array, few.array, mine.array, isKept)
      }
      for result in results {
        #expect(result.0 == expected)
        #expect(result.1 == Array(expected[..<3]))
        #expect(result.3)
      }
      #expect(results.flatMap(\.2) == expected)
    }
  }

  @Test("The extremes of numbers that are none are the same on any number of processes")
  func extremes() throws {
    let values: [Float] = [1, .nan, -0.0, 0.0, 3, -2, .nan, 5]
    let all = try [1, 2, 4, 8].map { processes in
      try run(ranks: 8, processes: processes) { world in
        try [ReduceOperation.minimum, .maximum].map { operation in
          let memory = Memory<Float>(8) { values[(world.rank + $0) % 8] }
          try world.allReduce(memory.buffer, operation).wait(for: "an extreme")
          return memory.array.map(\.bitPattern)
        }
      }
    }
    for bits in all { #expect(bits == all[0]) }
  }

  @Test("In a tree every rank is below the one that is above it", arguments: 1...9)
  func tree(ranks: Int) {
    for owner in 0..<ranks {
      let places = (0..<ranks).map { TreePlace(of: $0, among: ranks, owner: owner) }
      #expect(places.indices.filter { places[$0].above == nil } == [owner])
      for (rank, place) in places.enumerated() {
        if let above = place.above { #expect(places[above].below.contains(rank)) }
      }
      #expect(places.reduce(0) { $0 + $1.below.count } == ranks - 1)
    }
  }

  struct Broken: Error, Equatable { let rank: Int }

  @Test(
    "A virtual rank that fails makes all others throw, and its error is the one that counts",
    arguments: [(4, 1), (4, 2), (8, 4)])
  func failing(ranks: Int, processes: Int) throws {
    #expect(throws: Broken(rank: ranks / 2)) {
      _ = try run(ranks: ranks, processes: processes) { world in
        if world.rank == ranks / 2 { throw Broken(rank: ranks / 2) }
        try world.synchronize(for: "everybody")
      }
    }
  }

  @Test("A request that is thrown away ends the communication of all", arguments: [1, 2])
  func dropped(processes: Int) throws {
    let error = try #require(throws: MessagePassingError.self) {
      // The others come later, so that what is thrown away is not finished.
      let isDropped = DispatchSemaphore(value: 0)
      _ = try run(ranks: 4, processes: processes) { world in
        let memory = Memory<Float>(1) { _ in 0 }
        if world.rank == 0 {
          _ = try world.allReduce(memory.buffer, .sum)
          for _ in 1..<4 { isDropped.signal() }
        } else {
          isDropped.wait()
          try world.allReduce(memory.buffer, .sum).wait(for: "a sum")
        }
        try world.synchronize(for: "everybody")
      }
    }
    #expect("\(error)".contains("the request of reduction was thrown away"))
  }

  @Test("Ranks that call different collectives are told so", arguments: [1, 2])
  func mismatch(processes: Int) throws {
    let error = try #require(throws: MessagePassingError.self) {
      _ = try run(ranks: 4, processes: processes) { world in
        let memory = Memory<Float>(world.rank == 1 ? 4 : 5) { _ in 0 }
        try world.allReduce(memory.buffer, .sum).wait(for: "a sum")
      }
    }
    let words = "\(error)"
    #expect(
      words.contains("collective 1 from rank") && words.contains("the same program"), "\(words)")
  }

  @Test("A failure of a virtual rank ends the program with one line that names rank and host")
  func ends() async {
    let result = await #expect(
      processExitsWith: .exitCode(3), observing: [\.standardErrorContent]
    ) {
      _ = try World.start(environment: [:]).run(virtualRanks: 4) { world in
        if world.communicator.rank == 2 {
          world.fail(MessagePassingError.grid("this is wrong; do that"), code: 3)
        }
        try world.communicator.synchronize(for: "everybody")
      }
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.hasSuffix("rank 2 (\(Host.name)): this is wrong; do that\n"))
  }
}
