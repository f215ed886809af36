extension ThreadCommunicator {
  /// Runs `body` as `ranks` ranks, each a thread of its own, and returns what each gave, in rank order.
  ///
  /// - Parameters:
  ///   - deadline: Seconds that a wait may last.
  ///   - stackBytes: The size of each thread's stack.
  /// - Throws: What the rank that failed first threw; all others are made to throw too.
  @discardableResult
  package static func run<T>(
    ranks: Int, deadline: Double = Watch.usualDeadline, stackBytes: Int = 16 << 20,
    _ body: @Sendable (any Communicator) throws -> T
  ) throws -> [T] {
    let world = ThreadWorld(size: ranks)
    return try RankThread.run(0..<ranks, world: world, stackBytes: stackBytes) { rank in
      try body(
        ThreadCommunicator(
          world: world, context: 0, rank: rank, size: ranks,
          watch: Watch(worldRank: rank, deadline: deadline)))
    }
  }
}
