extension Communicator {
  /// Runs `body` as the virtual ranks that this rank, a process, hosts, each a thread of its own, and returns
  /// what each gave, in rank order; collective.
  ///
  /// - Parameters:
  ///   - ranks: Virtual ranks of all processes; a multiple of their number.
  ///   - body: What a virtual rank does; while it runs, nothing else of MPI may be called.
  ///   - stackBytes: The size of each thread's stack.
  /// - Throws: What the rank that failed first threw; all others are made to throw too.
  @discardableResult
  package func run<T>(
    virtualRanks ranks: Int, stackBytes: Int = 16 << 20,
    _ body: @Sendable (any Communicator) throws -> T
  ) throws -> [T] {
    precondition(ranks % size == 0, "\(ranks) virtual ranks on \(size) processes")
    let each = ranks / size
    let hosted = rank * each..<(rank + 1) * each
    let deadline = watch.deadline
    let world = ThreadWorld(size: ranks)
    let bridge =
      size > 1
      ? try ProcessBridge(duplicate(), hosted: hosted, world: world) : nil
    world.bridge = bridge
    let watches = Dictionary(
      uniqueKeysWithValues: hosted.map { ($0, Watch(worldRank: $0, deadline: deadline)) })
    // Its ranks wait, and not the process.
    if self is MPICommunicator {
      ProcessWatch.current.adopt(Array(watches.values))
      for watch in watches.values {
        watch.inquire { ProcessWatch.current.judge(waitingFor: $0) }
      }
    }
    do {
      let results = try RankThread.run(hosted, world: world, stackBytes: stackBytes) { rank in
        let communicator = VirtualCommunicator(
          world: world, context: 0, members: Array(0..<ranks), rank: rank,
          watch: watches[rank]!)
        return try body(communicator)
      }
      try bridge?.close()
      return results
    } catch {
      bridge?.abandon()
      throw error
    }
  }
}

extension World {
  /// Runs `body` as virtual ranks, each a thread of this or another process; collective.
  ///
  /// Each process hosts as many. Results of what they compute together depend on their number alone, not
  /// on the number of processes.
  ///
  /// - Parameters:
  ///   - ranks: Virtual ranks of all processes; a multiple of their number.
  ///   - body: What a virtual rank does, given the world as it sees it.
  /// - Returns: What the virtual ranks of this process gave, in rank order.
  /// - Throws: What the rank that failed first threw; all others are made to throw too.
  package func run<T>(
    virtualRanks ranks: Int, _ body: @Sendable (World) throws -> T
  ) throws -> [T] {
    let each = ranks / communicator.size
    return try communicator.run(virtualRanks: ranks) { virtual in
      let index = virtual.rank % each
      return try body(
        World(
          communicator: virtual, host: host.divided(among: each, index: index),
          launchRank: launchRank, processes: communicator.size))
    }
  }
}
