/// A communicator whose ranks are threads of several processes: virtual ranks.
///
/// Each process hosts as many, and ranks are numbered through the processes. Messages within a process go
/// through memory, others over the processes' own communicator. Collectives are made of messages along
/// trees (`TreePlace`), so that their results are a function of the virtual ranks alone: the bits are the
/// same however many processes there are.
///
/// Unchecked: as its superclass; what it adds is constant, or the rank's own thread's alone.
final class VirtualCommunicator: ThreadCommunicator, @unchecked Sendable {
  /// The world's numbers of the ranks.
  private let members: [Int]
  private var collectives = 0
  /// The least bytes of a buffer that are worth a tree of their own.
  private let leastPiece = 1 << 15

  init(world: ThreadWorld, context: Int, members: [Int], rank: Int, watch: Watch) {
    self.members = members
    super.init(world: world, context: context, rank: rank, size: members.count, watch: watch)
  }

  override func send(_ buffer: UnsafeRawBufferPointer, to destination: Int, tag: Int)
    throws(MessagePassingError) -> Request
  {
    check(peer: destination, tag: tag)
    return Request(try post(sending: buffer, to: destination, tag: tag))
  }

  /// Starts a message; tags from 2²⁴ on are those of collectives.
  func post(sending buffer: UnsafeRawBufferPointer, to destination: Int, tag: Int)
    throws(MessagePassingError) -> ThreadOperation
  {
    let operation = ThreadOperation(.send, on: self, input: buffer)
    let channel = ThreadWorld.Channel(
      context: context, source: rank, destination: destination, tag: tag)
    if let bridge = world.bridge, !bridge.hosts(members[destination]) {
      try bridge.send(operation, at: channel, to: members[destination])
    } else {
      try world.post(operation, at: channel)
    }
    return operation
  }

  /// Starts receiving a message, and combining it with `buffer` where there is a fold.
  func post(
    receivingInto buffer: UnsafeMutableRawBufferPointer, from source: Int, tag: Int,
    folding fold: Fold? = nil
  ) throws(MessagePassingError) -> ThreadOperation {
    let operation = ThreadOperation(.receive, on: self, output: buffer)
    operation.fold = fold
    try world.post(
      operation, at: .init(context: context, source: source, destination: rank, tag: tag))
    return operation
  }

  override func allReduce(
    _ buffer: UnsafeMutableBufferPointer<Float>, _ operation: ReduceOperation
  ) throws(MessagePassingError) -> Request {
    try allReduce(UnsafeMutableRawBufferPointer(buffer), operation, .float, stride: 4)
  }

  override func allReduce(
    _ buffer: UnsafeMutableBufferPointer<Double>, _ operation: ReduceOperation
  ) throws(MessagePassingError) -> Request {
    try allReduce(UnsafeMutableRawBufferPointer(buffer), operation, .double, stride: 8)
  }

  private func allReduce(
    _ buffer: UnsafeMutableRawBufferPointer, _ operation: ReduceOperation,
    _ element: Fold.Element, stride: Int
  ) throws(MessagePassingError) -> Request {
    let count = buffer.count / stride
    let pieces = min(size, max(1, buffer.count / leastPiece))
    return try start(
      "reduction",
      (0..<pieces).map { piece in
        let range = count * piece / pieces * stride..<count * (piece + 1) / pieces * stride
        return .init(
          piece, UnsafeMutableRawBufferPointer(rebasing: buffer[range]),
          along: place(owner: size * piece / pieces), reducing: true, spreading: true)
      }, reduction: (operation, element))
  }

  override func reduceScatter(
    _ buffer: UnsafeMutableBufferPointer<Float>, into mine: UnsafeMutableBufferPointer<Float>,
    counts: [Int]
  ) throws(MessagePassingError) -> Request {
    check(scattering: buffer.count, into: mine.count, counts: counts)
    var temporary: [UnsafeMutableRawBufferPointer] = []
    var pieces: [TreeCollective.BufferPiece] = []
    var offset = 0
    for (owner, count) in counts.enumerated() {
      let part = UnsafeMutableRawBufferPointer(
        UnsafeMutableBufferPointer(rebasing: buffer[offset..<offset + count]))
      offset += count
      let tree = place(owner: owner)
      var memory = part
      if owner == rank {
        memory = UnsafeMutableRawBufferPointer(mine)
      } else if !tree.below.isEmpty {
        // Partial sums: the caller's buffer stays as it is.
        memory = .allocate(byteCount: part.count, alignment: 64)
        temporary.append(memory)
      }
      if memory.baseAddress != part.baseAddress {
        memory.copyMemory(from: UnsafeRawBufferPointer(part))
      }
      pieces.append(.init(owner, memory, along: tree, reducing: true, spreading: false))
    }
    return try start("reduction", pieces, temporary: temporary)
  }

  override func allGather(
    _ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer, counts: [Int]
  ) throws(MessagePassingError) -> Request {
    check(gathering: mine.count, into: all.count, counts: counts)
    var pieces: [TreeCollective.BufferPiece] = []
    var offset = 0
    for (owner, count) in counts.enumerated() where count > 0 {
      let memory = UnsafeMutableRawBufferPointer(rebasing: all[offset..<offset + count])
      offset += count
      if owner == rank, UnsafeRawPointer(memory.baseAddress) != mine.baseAddress {
        memory.copyMemory(from: mine)
      }
      pieces.append(
        .init(owner, memory, along: place(owner: owner), reducing: false, spreading: true))
    }
    return try start("gather", pieces)
  }

  override func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int)
    throws(MessagePassingError) -> Request
  {
    check(root: root)
    return try start(
      "broadcast",
      [.init(0, buffer, along: place(owner: root), reducing: false, spreading: true)])
  }

  override func gather(
    _ mine: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer?, to root: Int
  ) throws(MessagePassingError) -> Request {
    check(root: root)
    guard rank == root else {
      // Only read: a send's memory is never written.
      let memory = UnsafeMutableRawBufferPointer(mutating: mine)
      return try start("gather", [.init(rank, memory, [[.give(to: root)]])])
    }
    precondition(
      all?.count == mine.count * size,
      "gather of \(size) × \(mine.count) bytes into \(all?.count ?? 0) bytes")
    let parts = (0..<size).map { source in
      UnsafeMutableRawBufferPointer(
        rebasing: all![source * mine.count..<(source + 1) * mine.count])
    }
    parts[rank].copyMemory(from: mine)
    return try start(
      "gather", parts.enumerated().map { .init($0, $1, $0 == rank ? [] : [[.take(from: $0)]]) })
  }

  override func barrier() throws(MessagePassingError) -> Request {
    let nothing = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    return try start(
      "barrier", [.init(0, nothing, along: place(owner: 0), reducing: true, spreading: true)])
  }

  override func split(color: Int, key: Int) throws(MessagePassingError) -> any Communicator {
    precondition(color >= 0, "a colour of \(color)")
    // Every rank proposes a number for the new communicator; its first member's is taken.
    let all = try allGather([color, key, world.reserveContext()])
    let group = all.indices.filter { all[$0][0] == color }
      .sorted { (all[$0][1], $0) < (all[$1][1], $1) }
    return VirtualCommunicator(
      world: world, context: all[group[0]][2], members: group.map { members[$0] },
      rank: group.firstIndex(of: rank)!, watch: watch)
  }

  override func abort(_ message: String, code: Int32) -> Never {
    guard let bridge = world.bridge else { super.abort(message, code: code) }
    bridge.abort(message, code: code, rank: watch.worldRank)
  }

  private func place(owner: Int) -> TreePlace { TreePlace(of: rank, among: size, owner: owner) }

  private func start(
    _ name: StaticString, _ pieces: [TreeCollective.BufferPiece],
    reduction: (ReduceOperation, Fold.Element) = (.sum, .float),
    temporary: [UnsafeMutableRawBufferPointer] = []
  ) throws(MessagePassingError) -> Request {
    collectives += 1
    let collective = TreeCollective(
      name, collectives, on: self, pieces, reduction: reduction, temporary: temporary)
    var request = Request(collective)
    // The first messages leave at once. Where that fails, the request takes back those that did.
    _ = try request.test()
    return request
  }
}
