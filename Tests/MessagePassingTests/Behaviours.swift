import MessagePassing
import Testing

/// What every kind of communicator does, whatever its ranks are.
///
/// Each behaviour is run by all ranks at once, and throws where something differs from what it should be.
enum Behaviour: String, CaseIterable, Sendable, CustomTestStringConvertible {
  case exchangesLargeMessages, keepsTheOrderOfATag, sendsToItself, reduces, reducesDoubles
  case gathersEqualParts, gathersUnequalParts, scattersSums, broadcasts, gathersOnTheRoot
  case overlapsCollectives, splits, duplicates, talksSynchronously, agreesOnErrors
  case refusesAMessageOfAnotherSize, staysFailed, givesUpAtTheDeadline, passesOnWhatPollingThrows

  var testDescription: String { rawValue }

  func run(_ world: any Communicator) throws {
    switch self {
    case .exchangesLargeMessages: try exchange(world)
    case .keepsTheOrderOfATag: try order(world)
    case .sendsToItself: try selfMessage(world)
    case .reduces: try reduce(world)
    case .reducesDoubles: try reduceDoubles(world)
    case .gathersEqualParts: try gatherParts(world) { _ in 37 }
    case .gathersUnequalParts: try gatherParts(world) { $0 % 3 * 1001 }
    case .scattersSums: try scatter(world)
    case .broadcasts: try broadcast(world)
    case .gathersOnTheRoot: try gatherOnRoot(world)
    case .overlapsCollectives: try overlap(world)
    case .splits: try split(world)
    case .duplicates: try duplicate(world)
    case .talksSynchronously: try synchronous(world)
    case .agreesOnErrors: try agree(world)
    case .refusesAMessageOfAnotherSize: try otherSize(world)
    case .staysFailed: try failed(world)
    case .givesUpAtTheDeadline: try deadline(world)
    case .passesOnWhatPollingThrows: try polling(world)
    }
  }
}

/// A number that differs for each sender, place and purpose.
private func number(_ rank: Int, _ index: Int) -> Float { Float(rank * 1000 + index % 997) }

private struct Wrong: Error { let what: String }

private func require(_ condition: Bool, _ what: @autoclosure () -> String) throws {
  if !condition { throw Wrong(what: what()) }
}

/// What waiting for the request throws.
private func failure(
  of request: consuming Request, for purpose: String, polling poll: () throws -> Void = {}
) -> MessagePassingError? {
  do {
    try request.wait(for: purpose, polling: poll)
    return nil
  } catch {
    return error
  }
}

/// Memory that outlives the requests of a behaviour.
final class Memory<Number: BitwiseCopyable> {
  let buffer: UnsafeMutableBufferPointer<Number>
  init(_ count: Int, _ value: (Int) -> Number) {
    buffer = .allocate(capacity: count)
    for i in 0..<count { buffer.initializeElement(at: i, to: value(i)) }
  }
  deinit { buffer.deallocate() }
  var bytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(buffer) }
  var constBytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(buffer) }
  var array: [Number] { Array(buffer) }
}

private func exchange(_ world: any Communicator) throws {
  for count in [1, 1000, 300_001] {
    let (next, previous) = (
      (world.rank + 1) % world.size, (world.rank + world.size - 1) % world.size
    )
    let outgoing = Memory<Float>(count) { number(world.rank, $0) }
    let fromPrevious = Memory<Float>(count) { _ in -1 }
    let fromNext = Memory<Float>(count) { _ in -1 }
    let a = try world.receive(into: fromPrevious.bytes, from: previous, tag: 1)
    let b = try world.receive(into: fromNext.bytes, from: next, tag: 2)
    let c = try world.send(outgoing.constBytes, to: next, tag: 1)
    let d = try world.send(outgoing.constBytes, to: previous, tag: 2)
    try a.wait(for: "a message from rank \(previous)")
    try b.wait(for: "a message from rank \(next)")
    try c.wait(for: "rank \(next) to take a message")
    try d.wait(for: "rank \(previous) to take a message")
    try require(fromPrevious.array == (0..<count).map { number(previous, $0) }, "from \(previous)")
    try require(fromNext.array == (0..<count).map { number(next, $0) }, "from \(next)")
  }
}

private func order(_ world: any Communicator) throws {
  let (next, previous) = ((world.rank + 1) % world.size, (world.rank + world.size - 1) % world.size)
  let sent = (0..<5).map { message in Memory<Float>(message + 1) { number(message, $0) } }
  let received = (0..<5).map { message in Memory<Float>(message + 1) { _ in -1 } }
  let a0 = try world.send(sent[0].constBytes, to: next, tag: 7)
  let a1 = try world.send(sent[1].constBytes, to: next, tag: 7)
  let other = try world.send(sent[3].constBytes, to: next, tag: 8)
  let a2 = try world.send(sent[2].constBytes, to: next, tag: 7)
  try world.receive(into: received[3].bytes, from: previous, tag: 8).wait(for: "tag 8")
  for message in 0..<3 {
    try world.receive(into: received[message].bytes, from: previous, tag: 7).wait(for: "tag 7")
  }
  try a0.wait(for: "sends")
  try a1.wait(for: "sends")
  try a2.wait(for: "sends")
  try other.wait(for: "sends")
  for message in 0..<4 {
    try require(received[message].array == sent[message].array, "message \(message)")
  }
}

private func selfMessage(_ world: any Communicator) throws {
  let (sent, received) = (Memory<Int>(9) { $0 + world.rank }, Memory<Int>(9) { _ in 0 })
  var receive = try world.receive(into: received.bytes, from: world.rank, tag: 0)
  let send = try world.send(sent.constBytes, to: world.rank, tag: 0)
  while try !receive.test() {}
  try send.wait(for: "myself")
  try require(received.array == sent.array, "a message to oneself")
}

private func reduce(_ world: any Communicator) throws {
  for count in [1, 7, 10_001, 300_001] {
    for operation in [ReduceOperation.sum, .minimum, .maximum] {
      let memory = Memory<Float>(count) { number(world.rank, $0) }
      try world.allReduce(memory.buffer, operation).wait(for: "a reduction")
      let expected = (0..<count).map { index in
        let all = (0..<world.size).map { number($0, index) }
        return switch operation {
        case .sum: all.reduce(0, +)
        case .minimum: all.min()!
        case .maximum: all.max()!
        }
      }
      try require(memory.array == expected, "\(operation) of \(count)")
    }
  }
}

private func reduceDoubles(_ world: any Communicator) throws {
  let memory = Memory<Double>(50_003) { Double($0) / 3 + Double(world.rank) }
  try world.allReduce(memory.buffer, .sum).wait(for: "a reduction")
  for (index, value) in memory.array.enumerated() {
    let ranks = Double(world.size)
    let expected = ranks * Double(index) / 3 + ranks * (ranks - 1) / 2
    try require(abs(value - expected) <= 1e-12 * max(1, expected), "element \(index)")
  }
}

private func gatherParts(_ world: any Communicator, _ length: (Int) -> Int) throws {
  let mine = Memory<Float>(length(world.rank)) { number(world.rank, $0) }
  let lengths = (0..<world.size).map(length)
  let expected = lengths.enumerated().flatMap { rank, count in
    (0..<count).map { number(rank, $0) }
  }
  let all = Memory<Float>(expected.count) { _ in -1 }
  try world.allGather(mine.constBytes, into: all.bytes, counts: lengths.map { $0 * 4 })
    .wait(for: "all parts")
  try require(all.array == expected, "gathered parts")

  // In place: this rank's part already lies where it belongs.
  let offset = lengths[..<world.rank].reduce(0, +)
  let place = Memory<Float>(expected.count) { index in
    (offset..<offset + lengths[world.rank]).contains(index) ? expected[index] : -1
  }
  let own = UnsafeRawBufferPointer(
    rebasing: place.constBytes[offset * 4..<(offset + lengths[world.rank]) * 4])
  try world.allGather(own, into: place.bytes, counts: lengths.map { $0 * 4 }).wait(for: "all parts")
  try require(place.array == expected, "parts gathered in place")
}

private func scatter(_ world: any Communicator) throws {
  let counts = (0..<world.size).map { $0 % 3 == 1 ? 0 : 500 + $0 }
  let total = counts.reduce(0, +)
  let buffer = Memory<Float>(total) { number(world.rank, $0) }
  let mine = Memory<Float>(counts[world.rank]) { _ in -1 }
  try world.reduceScatter(buffer.buffer, into: mine.buffer, counts: counts).wait(for: "my part")
  let offset = counts[..<world.rank].reduce(0, +)
  let expected = (0..<counts[world.rank]).map { index in
    (0..<world.size).reduce(Float(0)) { $0 + number($1, offset + index) }
  }
  try require(mine.array == expected, "my part of the sum")
}

private func broadcast(_ world: any Communicator) throws {
  for root in Set([0, world.size / 2, world.size - 1]).sorted() {
    let memory = Memory<Float>(70_001) { number(world.rank, $0) }
    try world.broadcast(memory.bytes, from: root).wait(for: "rank \(root)")
    try require(memory.array == (0..<70_001).map { number(root, $0) }, "from \(root)")
  }
}

private func gatherOnRoot(_ world: any Communicator) throws {
  let root = world.size - 1
  let mine = Memory<Float>(41) { number(world.rank, $0) }
  let all = Memory<Float>(world.rank == root ? 41 * world.size : 0) { _ in -1 }
  try world.gather(mine.constBytes, into: world.rank == root ? all.bytes : nil, to: root)
    .wait(for: "all parts")
  guard world.rank == root else { return }
  let expected = (0..<world.size).flatMap { rank in (0..<41).map { number(rank, $0) } }
  try require(all.array == expected, "gathered parts")
}

private func overlap(_ world: any Communicator) throws {
  let memories = (0..<3).map { round in Memory<Float>(100) { number(world.rank, $0 + round) } }
  let first = try world.allReduce(memories[0].buffer, .sum)
  let second = try world.allReduce(memories[1].buffer, .maximum)
  var third = try world.broadcast(memories[2].bytes, from: 0)
  try second.wait(for: "the second", polling: { _ = try third.test() })
  try third.wait(for: "the third")
  try first.wait(for: "the first")
  try require(memories[1].array == (0..<100).map { number(world.size - 1, $0 + 1) }, "second")
  try require(memories[2].array == (0..<100).map { number(0, $0 + 2) }, "third")
}

private func split(_ world: any Communicator) throws {
  // Odd and even ranks apart, each in reverse order.
  let half = try world.split(color: world.rank % 2, key: -world.rank)
  let members = (0..<world.size).filter { $0 % 2 == world.rank % 2 }.reversed()
  try require(half.size == members.count, "\(half.size) members")
  try require(half.rank == Array(members).firstIndex(of: world.rank)!, "rank \(half.rank)")
  try require(try half.allGather(Double(world.rank)) == members.map(Double.init), "members")
}

private func duplicate(_ world: any Communicator) throws {
  let other = try world.duplicate()
  try require((other.rank, other.size) == (world.rank, world.size), "a duplicate's ranks")
  let (one, two) = (Memory<Int>(1) { _ in 1 }, Memory<Int>(1) { _ in 2 })
  let (gotOne, gotTwo) = (Memory<Int>(1) { _ in 0 }, Memory<Int>(1) { _ in 0 })
  let (next, previous) = ((world.rank + 1) % world.size, (world.rank + world.size - 1) % world.size)
  let a = try world.send(one.constBytes, to: next, tag: 3)
  let b = try other.send(two.constBytes, to: next, tag: 3)
  try other.receive(into: gotTwo.bytes, from: previous, tag: 3).wait(for: "the duplicate's")
  try world.receive(into: gotOne.bytes, from: previous, tag: 3).wait(for: "the original's")
  try a.wait(for: "sends")
  try b.wait(for: "sends")
  try require((gotOne.array, gotTwo.array) == ([1], [2]), "messages kept apart")
}

private func synchronous(_ world: any Communicator) throws {
  let ranks = Double(world.size)
  try world.synchronize(for: "a meeting")
  try require(try world.allReduceSum(Double(world.rank)) == ranks * (ranks - 1) / 2, "sum")
  try require(try world.allReduceMaximum(Double(world.rank)) == ranks - 1, "maximum")
  let texts = (0..<world.size).map { String(repeating: "ä", count: $0) }
  try require(try world.allGather(texts[world.rank]) == texts, "texts")
  try require(
    try world.broadcast("I am \(world.rank)", from: world.size - 1) == "I am \(world.size - 1)",
    "a text")
  try require(
    try world.allGather([Int](repeating: world.rank, count: world.rank))
      == (0..<world.size).map { Array(repeating: $0, count: $0) }, "lists")
}

private func agree(_ world: any Communicator) throws {
  try require(try world.together { world.rank } == world.rank, "all well")
  do {
    try world.together { if world.rank >= world.size / 2 { throw Wrong(what: "mine") } }
    throw Wrong(what: "nobody noticed the error")
  } catch MessagePassingError.peerFailed(let rank, let reason) {
    try require(rank == world.size / 2 && rank != world.rank, "rank \(rank) is blamed")
    try require(reason.contains("mine"), reason)
  } catch let error as Wrong {
    try require(error.what == "mine" && world.rank == world.size / 2, error.what)
  }
}

private func otherSize(_ world: any Communicator) throws {
  let (sent, received) = (Memory<Float>(10) { _ in 1 }, Memory<Float>(12) { _ in 0 })
  let (next, previous) = ((world.rank + 1) % world.size, (world.rank + world.size - 1) % world.size)
  let send = try world.send(sent.constBytes, to: next, tag: 5)
  let receive = try world.receive(into: received.bytes, from: previous, tag: 5)
  let error = failure(of: receive, for: "a message")
  guard case .sizeMismatch(_, expected: 48, received: 40)? = error else {
    throw Wrong(what: "\(String(describing: error))")
  }
  // Among threads the sender learns it too; MPI's does not.
  _ = failure(of: send, for: "the receiver")
}

private func failed(_ world: any Communicator) throws {
  let (sent, received) = (Memory<Float>(10) { _ in 1 }, Memory<Float>(12) { _ in 0 })
  let (next, previous) = ((world.rank + 1) % world.size, (world.rank + world.size - 1) % world.size)
  let send = try world.send(sent.constBytes, to: next, tag: 5)
  let request = HeldRequest(try world.receive(into: received.bytes, from: previous, tag: 5))
  func expectMismatch(_ body: () throws -> Void) throws {
    do {
      try body()
    } catch MessagePassingError.sizeMismatch(_, expected: 48, received: 40) {
      return
    }
    throw Wrong(what: "a message that has failed counts as arrived")
  }
  try expectMismatch { while try !request.test() {} }
  try expectMismatch { _ = try request.test() }
  try expectMismatch { try request.wait(for: "a message") }
  try expectMismatch { _ = try request.test() }
  _ = failure(of: send, for: "the receiver")
}

private func deadline(_ world: any Communicator) throws {
  // Nobody fails before all are here.
  let before = world.watch.deadline
  defer { world.watch.deadline = before }
  let received = Memory<Float>(1) { _ in 0 }
  let waited = world.watch.waitSeconds
  let request = try world.receive(into: received.bytes, from: world.rank, tag: 99)
  world.watch.deadline = 0.05
  let error = failure(of: request, for: "what never comes") {
    if let waiting = world.watch.waiting {
      try require(waiting.purpose == "what never comes" && waiting.seconds > 0, "\(waiting)")
    }
  }
  guard case .deadline("what never comes", let seconds, _)? = error, seconds >= 0.05 else {
    throw Wrong(what: "\(String(describing: error))")
  }
  try require(world.watch.waitSeconds - waited >= 0.05, "the wait is counted")
  try require(world.watch.waiting == nil, "the wait is over")
}

private func polling(_ world: any Communicator) throws {
  let received = Memory<Float>(1) { _ in 0 }
  let request = try world.receive(into: received.bytes, from: world.rank, tag: 98)
  let error = failure(of: request, for: "a while") { throw Wrong(what: "polled") }
  guard case .interrupted("a while", let reason as Wrong)? = error, reason.what == "polled" else {
    throw Wrong(what: "\(String(describing: error))")
  }
}
