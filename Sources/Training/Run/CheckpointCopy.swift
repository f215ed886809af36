import Checkpoints
import Foundation
import Synchronization

/// What one rank writes of a checkpoint, its numbers or a copy of them, and what became of writing it by a thread of its own.
///
/// The thread knows files alone; that all ranks' are done is found out by those that talk to each other.
final class CheckpointCopy: Sendable {
  /// Numbers of a range.
  typealias Numbers = (TrainingState.Quantity, Range<Int>, UnsafePointer<Float>)

  /// Unchecked: nobody writes to the numbers while the thread reads them.
  private struct Piece: @unchecked Sendable {
    let quantity: TrainingState.Quantity
    let range: Range<Int>
    let numbers: UnsafePointer<Float>
  }

  /// What became of it.
  enum Outcome: Sendable {
    /// All is on the disk.
    case written([WrittenRange])
    case failed(String)
  }

  private let pieces: [Piece]
  private let isCopied: Bool
  private let result = Mutex<Outcome?>(nil)

  /// Takes numbers that stay as they are until all is written.
  init(of numbers: [Numbers]) {
    isCopied = false
    pieces = numbers.map { Piece(quantity: $0.0, range: $0.1, numbers: $0.2) }
  }

  /// Copies numbers.
  ///
  /// - Returns: nil where there is no memory for them.
  init?(copying numbers: [Numbers]) {
    isCopied = true
    var pieces: [Piece] = []
    for (quantity, range, source) in numbers where !range.isEmpty {
      guard let memory = malloc(4 * range.count) else {
        for piece in pieces { free(UnsafeMutableRawPointer(mutating: piece.numbers)) }
        return nil
      }
      let copy = memory.bindMemory(to: Float.self, capacity: range.count)
      copy.update(from: source, count: range.count)
      pieces.append(Piece(quantity: quantity, range: range, numbers: copy))
    }
    self.pieces = pieces
  }

  deinit {
    guard isCopied else { return }
    for piece in pieces { free(UnsafeMutableRawPointer(mutating: piece.numbers)) }
  }

  /// What became of what was begun last; nil while it goes on.
  var outcome: Outcome? { result.withLock { $0 } }

  /// Lets a thread write something, behind all else that the machine has to do; where the system has no more threads, the
  /// caller's.
  ///
  /// - Parameter write: Called on that thread with a way to go through the numbers; gives what is on the disk then.
  func start(
    _ write:
      @escaping @Sendable (((Numbers) throws -> Void) throws -> Void) throws -> [WrittenRange]
  ) {
    result.withLock { $0 = nil }
    final class Call: Sendable {
      let body: @Sendable () -> Void
      init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    let call = Unmanaged.passRetained(Call { self.run(write) })
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { raw in
        // The thread alone, not the process: those that compute come first.
        setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
        Unmanaged<Call>.fromOpaque(raw!).takeRetainedValue().body()
        return nil
      }, call.toOpaque())
    if code == 0 { pthread_detach(thread) } else { call.takeRetainedValue().body() }
  }

  private func run(
    _ write: (((Numbers) throws -> Void) throws -> Void) throws -> [WrittenRange]
  ) {
    var outcome: Outcome
    do {
      outcome = .written(
        try write { body in
          for piece in pieces { try body((piece.quantity, piece.range, piece.numbers)) }
        })
    } catch {
      outcome = .failed("\(error)")
    }
    result.withLock { $0 = outcome }
  }
}
