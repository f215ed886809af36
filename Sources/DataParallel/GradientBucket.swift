import Files
import Measurement
import MessagePassing
import Tensors

/// A slice of every owner's part of a unit, on its way: to the owners, and as sums back to all.
final class GradientBucket {
  /// Room for the messages of a bucket.
  struct Room {
    /// What arrives: a slice of each other rank.
    let incoming: Buffer
    /// What leaves, where it is not sent from where it lies.
    let outgoing: Buffer?
    /// A block of every rank, while they are added up.
    let blocks: Buffer?

    init(slice: Int, ranks: Int, transport: GradientTransport, pool: BufferPool) {
      switch transport {
      case .fp32:
        incoming = Buffer(count: slice * (ranks - 1), pool: pool, kind: .buffers)
        (outgoing, blocks) = (nil, nil)
      case .bf16:
        let half = (slice + 1) / 2 * (ranks - 1)
        incoming = Buffer(count: half, pool: pool, kind: .buffers)
        outgoing = Buffer(count: half, pool: pool, kind: .buffers)
        blocks = Buffer(count: RankSum.block * ranks, pool: pool, kind: .buffers)
      }
    }
  }

  private enum State { case reducing, summed, gathering, complete }

  let job: GradientReducer.Job
  let room: Room
  private let index: Int
  private let slice: Int
  private let number: Int
  private let group: any Communicator
  private let workspace: Workspace
  private let transport: GradientTransport
  private var state = State.reducing
  private var sends: [HeldRequest] = []
  private var receives: [HeldRequest] = []

  init(
    _ job: GradientReducer.Job, index: Int, slice: Int, number: Int, room: Room,
    group: any Communicator, workspace: Workspace, transport: GradientTransport
  ) {
    (self.job, self.index, self.slice, self.number) = (job, index, slice, number)
    (self.room, self.group, self.workspace) = (room, group, workspace)
    self.transport = transport
  }

  var isSummed: Bool { state != .reducing }
  var isComplete: Bool { state == .complete }

  /// Sends every owner its slice.
  func begin() throws {
    let mine = piece(group.rank)
    for rank in others where !mine.isEmpty {
      receives.append(
        HeldRequest(
          try group.receive(into: arriving(from: rank, count: mine.count), from: rank, tag: tag)))
    }
    try mark("send", .toOwners, numbers: others.reduce(0) { $0 + piece($1).count }) {
      for rank in others {
        let piece = piece(rank)
        guard !piece.isEmpty else { continue }
        try send(piece, to: rank, tag: tag, place: rank)
      }
    }
  }

  /// Goes as far as messages have come.
  func advance(maySum: Bool) throws {
    if state == .reducing, maySum, try arrived() {
      mark("receive", .toOwners, numbers: others.count * piece(group.rank).count) {
        workspace.compute(.other) { sum() }
      }
      state = .summed
    }
    if state == .summed, try left() {
      if case .everywhere = job.destination {
        try gather()
        state = .gathering
      } else {
        state = .complete
      }
    }
    if state == .gathering, try arrived(), try left() {
      mark("receive", .fromOwners, numbers: others.reduce(0) { $0 + piece($1).count }) {
        if transport == .bf16 { workspace.compute(.other) { unpack() } }
      }
      state = .complete
    }
  }

  /// Waits for the messages of the state that the bucket is in.
  func wait(polling: () throws -> Void) throws {
    for request in state == .summed ? sends : receives + sends {
      try request.wait(
        for: "the reduction of gradients, bucket \(number)", polling: polling)
    }
  }

  private func arrived() throws -> Bool {
    while let last = receives.last {
      guard try last.test() else { return false }
      receives.removeLast()
    }
    return true
  }

  private func left() throws -> Bool {
    while let last = sends.last {
      guard try last.test() else { return false }
      sends.removeLast()
    }
    return true
  }

  private func gather() throws {
    let mine = piece(group.rank)
    for rank in others {
      let piece = piece(rank)
      guard !piece.isEmpty else { continue }
      let target =
        transport == .fp32
        ? UnsafeMutableRawBufferPointer(
          start: job.gradients + piece.lowerBound, count: 4 * piece.count)
        : arriving(from: rank, count: piece.count)
      receives.append(HeldRequest(try group.receive(into: target, from: rank, tag: tag + 1)))
    }
    guard !mine.isEmpty else { return }
    if transport == .bf16 {
      // The owner goes on with what all others get.
      workspace.compute(.other) {
        let (sum, packed) = (job.gradients + mine.lowerBound, leaving(place: 0))
        NumberFormats.write(bfloat16: packed, from: sum, count: mine.count)
        NumberFormats.read(bfloat16: packed, count: mine.count, into: sum)
      }
    }
    try mark("send", .fromOwners, numbers: others.count * mine.count) {
      for rank in others {
        try send(mine, to: rank, tag: tag + 1, place: transport == .fp32 ? rank : nil)
      }
    }
  }

  /// Sends a piece of the unit.
  ///
  /// - Parameter place: The rank in whose place the piece is packed; nil where it already is, in the first.
  private func send(_ piece: Range<Int>, to rank: Int, tag: Int, place: Int?) throws {
    let source = job.gradients + piece.lowerBound
    let bytes: UnsafeRawBufferPointer
    switch transport {
    case .fp32: bytes = UnsafeRawBufferPointer(start: source, count: 4 * piece.count)
    case .bf16:
      let packed = leaving(place: place.map(position) ?? 0)
      if place != nil {
        workspace.compute(.other) {
          NumberFormats.write(bfloat16: packed, from: source, count: piece.count)
        }
      }
      bytes = UnsafeRawBufferPointer(start: packed, count: 2 * piece.count)
    }
    sends.append(HeldRequest(try group.send(bytes, to: rank, tag: tag)))
    workspace.counters.gradientBytesSent += bytes.count
  }

  /// Adds up what the ranks sent for this rank's slice.
  private func sum() {
    let mine = piece(group.rank)
    let own = job.gradients + mine.lowerBound
    let (blocks, rank) = (room.blocks?.pointer, group.rank)
    withUnsafeTemporaryAllocation(
      of: UnsafeMutablePointer<Float>.self, capacity: group.size
    ) { parts in
      for start in stride(from: 0, to: mine.count, by: RankSum.block) {
        let count = min(RankSum.block, mine.count - start)
        for other in 0..<group.size {
          let place: UnsafeMutablePointer<Float>
          if other == rank {
            place = own + start
          } else if let blocks {
            place = blocks + other * RankSum.block
            let packed = UnsafeRawPointer(arriving(from: other, count: 0).baseAddress! + 2 * start)
            NumberFormats.read(bfloat16: packed, count: count, into: place)
          } else {
            place =
              arriving(from: other, count: 0).baseAddress!.assumingMemoryBound(to: Float.self)
              + start
          }
          parts.initializeElement(at: other, to: place)
        }
        RankSum.add(UnsafeBufferPointer(parts), count: count)
        let sum = UnsafePointer(parts[0])
        switch job.destination {
        case .everywhere, .owner:
          if rank != 0 { (own + start).update(from: sum, count: count) }
        case .place(let unitPart, let adding):
          let target = unitPart + index * slice + start
          if adding {
            for i in 0..<count { target[i] += sum[i] }
          } else {
            target.update(from: sum, count: count)
          }
        }
      }
    }
  }

  private func unpack() {
    for rank in others {
      let piece = piece(rank)
      NumberFormats.read(
        bfloat16: UnsafeRawPointer(arriving(from: rank, count: 0).baseAddress!), count: piece.count,
        into: job.gradients + piece.lowerBound)
    }
  }

  /// Which way a message goes.
  private enum Direction: String {
    /// Gradients of one rank.
    case toOwners = "to owners"
    /// Sums of all ranks.
    case fromOwners = "from owners"
  }

  /// Runs `body` as a span of the trace, if there is one, that sends or takes so many numbers.
  private func mark(
    _ name: String, _ direction: Direction, numbers: @autoclosure () -> Int,
    _ body: () throws -> Void
  ) rethrows {
    try workspace.counters.mark(
      name,
      Trace.Message(
        .gradients(bucket: number), direction: direction.rawValue,
        bytes: (transport == .fp32 ? 4 : 2) * numbers()), body)
  }

  /// The bucket's slice of a rank's part, counted from the unit's first number.
  private func piece(_ rank: Int) -> Range<Int> {
    let part = job.parts[rank]
    let start = min(part.lowerBound + index * slice, part.upperBound)
    return start..<min(start + slice, part.upperBound)
  }

  private var others: [Int] { (0..<group.size).filter { $0 != group.rank } }

  /// The place of another rank among the others.
  private func position(_ rank: Int) -> Int { rank < group.rank ? rank : rank - 1 }

  /// Where a rank's `count` numbers arrive.
  private func arriving(from rank: Int, count: Int) -> UnsafeMutableRawBufferPointer {
    let size = transport == .fp32 ? 4 : 2
    let width = transport == .fp32 ? slice : (slice + 1) / 2 * 2
    return UnsafeMutableRawBufferPointer(
      start: UnsafeMutableRawPointer(room.incoming.pointer) + position(rank) * width * size,
      count: count * size)
  }

  /// Where packed numbers leave from.
  private func leaving(place: Int) -> UnsafeMutablePointer<UInt16> {
    let first = UnsafeMutableRawPointer(room.outgoing!.pointer).assumingMemoryBound(to: UInt16.self)
    return first + place * ((slice + 1) / 2 * 2)
  }

  /// Buckets that are under way at once have tags of their own; sums go by the next tag.
  private var tag: Int { 2 * (number % 1024) }
}
