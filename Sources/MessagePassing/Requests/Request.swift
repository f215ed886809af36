/// An operation under way; it must be finished by `wait`, or by `test` until it says so.
///
/// It cannot be copied. A request that is thrown away unfinished ends the communication of all ranks,
/// since what it wrote to or read from may be gone: the next operation throws
/// `MessagePassingError.requestDropped`. Where an error is already on its way out, it is cancelled quietly.
///
/// An operation that has failed stays failed: whoever tests it or waits for it again gets the same error.
package struct Request: ~Copyable, Sendable {
  private var operation: (any PendingOperation)?
  private var failure: MessagePassingError?

  /// A request that is finished already.
  package init() { operation = nil }

  /// The request of an operation that has begun.
  package init(_ operation: any PendingOperation) { self.operation = operation }

  deinit { operation?.cancel() }

  /// Lets communication progress, and says whether the operation is finished.
  package mutating func test() throws(MessagePassingError) -> Bool {
    if let failure { throw failure }
    guard let operation else { return true }
    do throws(MessagePassingError) {
      guard try operation.test() else { return false }
    } catch {
      operation.watch.isFailing = true
      failure = error
      throw error
    }
    self.operation = nil
    return true
  }

  /// Waits until the operation is finished, never inside MPI: test, poll, yield, until the watch's deadline.
  ///
  /// - Parameters:
  ///   - purpose: What is waited for, such as `state of layer 3 from rank 2`; published while waiting.
  ///   - poll: Called again and again during the wait, to let other communication progress.
  package consuming func wait(
    for purpose: @autoclosure () -> String, polling poll: () throws -> Void = {}
  ) throws(MessagePassingError) {
    if let failure { throw failure }
    guard let operation else { return }
    do throws(MessagePassingError) {
      try operation.watch.wait(for: operation, purpose, polling: poll)
    } catch {
      operation.watch.isFailing = true
      throw error
    }
    self.operation = nil
  }
}

/// What a request stands for, in one kind of communicator.
package protocol PendingOperation: AnyObject, Sendable {
  var watch: Watch { get }
  /// The ranks of the world that it waits for; nil if it cannot tell.
  var peers: [Int]? { get }
  /// Makes progress and says whether the operation is done; not called again once it has thrown.
  func test() throws(MessagePassingError) -> Bool
  /// Gives way until something may have changed.
  ///
  /// - Parameter elapsed: Nanoseconds waited so far.
  func pause(after elapsed: UInt64)
  /// Gives the operation up; it never touches its buffer again.
  func cancel()
}

extension PendingOperation {
  /// It cannot tell.
  package var peers: [Int]? { nil }
}
