/// One rank's part in a collective of virtual ranks: messages along trees.
///
/// It goes on whenever it is tested; no rank waits for more than the messages that it needs.
///
/// Unchecked: the thread that holds its request is the only one to call it.
final class TreeCollective: PendingOperation, @unchecked Sendable {
  /// What a rank does for one piece of the buffers: stages, one after another.
  struct BufferPiece {
    enum Message {
      /// Combine what a rank sends with what this rank has.
      case fold(from: Int)
      /// Take what a rank sends.
      case take(from: Int)
      /// Send what this rank has.
      case give(to: Int)
    }

    /// The piece's number, the same on all ranks.
    let number: Int
    /// This rank's part of the piece, partial results, and at the end what all have.
    let memory: UnsafeMutableRawBufferPointer
    /// The stages to come; messages of a stage are under way together.
    var stages: ArraySlice<[Message]>
    /// Messages of the stage under way.
    var current: [ThreadOperation] = []

    init(_ number: Int, _ memory: UnsafeMutableRawBufferPointer, _ stages: [[Message]]) {
      (self.number, self.memory, self.stages) = (number, memory, stages[...])
    }

    /// A piece that is reduced to the owner of a tree, spread from it, or both.
    init(
      _ number: Int, _ memory: UnsafeMutableRawBufferPointer, along tree: TreePlace,
      reducing: Bool, spreading: Bool
    ) {
      var stages: [[Message]] = []
      if reducing {
        stages += tree.below.map { [.fold(from: $0)] }
        if let above = tree.above { stages.append([.give(to: above)]) }
      }
      if spreading {
        if let above = tree.above { stages.append([.take(from: above)]) }
        // The largest half first.
        stages.append(tree.below.reversed().map { .give(to: $0) })
      }
      self.init(number, memory, stages)
    }
  }

  /// Bits of a tag below the collective's number; tags of messages, which are below 2²⁰, have no more.
  static let tagBits = 24

  /// What the collective is, such as `reduction`.
  let name: StaticString
  let watch: Watch
  private let communicator: VirtualCommunicator
  private let number: Int
  private let reduction: (operation: ReduceOperation, element: Fold.Element)
  private var pieces: [BufferPiece]
  /// Indices of the pieces that are not done.
  private var open: [Int]
  /// Memory of partial results that have no place of their own.
  private let temporary: [UnsafeMutableRawBufferPointer]
  private var seen = 0

  /// Begins a collective; all ranks give it the same number, from 1.
  ///
  /// - Parameter temporary: Memory that is given back at the end.
  init(
    _ name: StaticString, _ number: Int, on communicator: VirtualCommunicator,
    _ pieces: [BufferPiece],
    reduction: (ReduceOperation, Fold.Element) = (.sum, .float),
    temporary: [UnsafeMutableRawBufferPointer] = []
  ) {
    (self.name, self.number, self.communicator) = (name, number, communicator)
    (self.pieces, self.reduction, self.temporary) = (pieces, reduction, temporary)
    open = Array(pieces.indices)
    watch = communicator.watch
  }

  deinit { for memory in temporary { memory.deallocate() } }

  func test() throws(MessagePassingError) -> Bool {
    let world = communicator.world
    seen = world.eventCount(of: watch.worldRank)
    try world.bridge?.progress()
    var left: [Int] = []
    for index in open where try !isDone(index) { left.append(index) }
    open = left
    return open.isEmpty
  }

  func pause(after elapsed: UInt64) {
    communicator.world.sleep(watch.worldRank, seen: seen, after: elapsed)
  }

  func cancel() {
    if !watch.isFailing {
      let error = MessagePassingError.requestDropped(request: "\(name)")
      communicator.world.fail(rank: watch.worldRank, reason: error.description)
    }
    for piece in pieces { for message in piece.current { message.cancel() } }
  }

  /// Moves a piece on as far as it goes, and says whether that is its end.
  private func isDone(_ index: Int) throws(MessagePassingError) -> Bool {
    while true {
      while let message = pieces[index].current.last {
        guard try communicator.world.isDone(message) else { return false }
        pieces[index].current.removeLast()
      }
      guard let stage = pieces[index].stages.popFirst() else { return true }
      for message in stage {
        pieces[index].current.append(try post(message, of: pieces[index]))
      }
    }
  }

  private func post(_ message: BufferPiece.Message, of piece: BufferPiece)
    throws(MessagePassingError) -> ThreadOperation
  {
    let tag = number << Self.tagBits | piece.number
    let memory = piece.memory
    switch message {
    case .give(let rank):
      return try communicator.post(sending: UnsafeRawBufferPointer(memory), to: rank, tag: tag)
    case .take(let rank):
      return try communicator.post(receivingInto: memory, from: rank, tag: tag)
    case .fold(let rank):
      return try communicator.post(
        receivingInto: memory, from: rank, tag: tag,
        folding: Fold(
          operation: reduction.operation, element: reduction.element,
          theirsFirst: rank < communicator.rank))
    }
  }
}
