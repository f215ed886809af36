import Glibc
import Measurement

/// What the ranks of one process share: messages that have no partner yet, collectives that are not
/// complete, and where each rank sleeps.
///
/// Everything is guarded by one mutex; data is copied and reduced outside it.
///
/// Unchecked: all that changes is guarded by the mutex.
final class ThreadWorld: @unchecked Sendable {
  let size: Int
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let wakes: UnsafeMutablePointer<pthread_cond_t>
  /// How often something happened to each rank: a rank sleeps only if nothing happened since it looked.
  private var events: [Int]
  private var failure: (rank: Int, reason: String)?
  private var messages: [Channel: [ThreadOperation]] = [:]
  private var collectives: [CollectiveKey: [ThreadOperation]] = [:]
  private var contexts = 1
  /// The way to the ranks of other processes, where there are any; set before the ranks start.
  var bridge: ProcessBridge?

  /// Where messages meet: one communicator, two of its ranks, one tag.
  struct Channel: Hashable {
    let context, source, destination, tag: Int
  }

  /// Where collectives meet: the n-th of one communicator.
  struct CollectiveKey: Hashable {
    let context, number: Int
  }

  init(size: Int) {
    precondition(size >= 1, "a world of \(size) ranks")
    self.size = size
    events = Array(repeating: 0, count: size)
    wakes = .allocate(capacity: size)
    pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    for rank in 0..<size { pthread_cond_init(wakes + rank, &attributes) }
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    for rank in 0..<size { pthread_cond_destroy(wakes + rank) }
    wakes.deallocate()
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  /// Makes every rank throw from now on; the first failure is the one they name.
  func fail(rank: Int, reason: String) {
    locked {
      if failure == nil { failure = (rank, reason) }
      for rank in 0..<size { wake(rank) }
    }
  }

  /// Stops every other rank at its next message, for ever: the process ends.
  func halt() { pthread_mutex_lock(mutex) }

  /// Lets a message meet its partner, or wait for it.
  func post(_ operation: ThreadOperation, at channel: Channel) throws(MessagePassingError) {
    let pair = try matching { () -> [ThreadOperation] in
      operation.place = .message(channel)
      var queue = messages.removeValue(forKey: channel) ?? []
      guard let partner = queue.first, partner.call != operation.call else {
        messages[channel] = queue + [operation]
        return []
      }
      queue.removeFirst()
      if !queue.isEmpty { messages[channel] = queue }
      return operation.call == .send ? [operation, partner] : [partner, operation]
    }
    guard pair.count == 2 else { return }
    let (source, target) = (pair[0], pair[1])
    if let arrival = source.arrival {
      arrival(target)
    } else if source.input.count == target.output.count {
      if let fold = target.fold {
        fold.combine(source.input, into: target.output)
      } else {
        target.output.copyMemory(from: source.input)
      }
      finish(pair)
    } else {
      finish(
        pair,
        .sizeMismatch(
          message: target.description, expected: target.output.count, received: source.input.count))
    }
  }

  /// Lets a rank join a collective; the last to come does its work, for all.
  ///
  /// - Parameter ranks: How many ranks the collective has.
  func join(_ operation: ThreadOperation, at place: CollectiveKey, ranks: Int)
    throws(MessagePassingError)
  {
    let all = try matching { () -> [ThreadOperation] in
      operation.place = .collective(place)
      let all = (collectives.removeValue(forKey: place) ?? []) + [operation]
      if all.count == ranks { return all.sorted { $0.rank < $1.rank } }
      collectives[place] = all
      return []
    }
    guard let first = all.first else { return }
    if let odd = all.first(where: { $0.call != first.call }) {
      finish(
        all,
        .collectiveMismatch(
          rank: odd.watch.worldRank, call: odd.description,
          otherRank: first.watch.worldRank, otherCall: first.description))
    } else {
      first.call.perform(all) { count in locked { advanceContexts(count) } }
      finish(all)
    }
  }

  func isDone(_ operation: ThreadOperation) throws(MessagePassingError) -> Bool {
    let state = locked { () -> ThreadOperation.State in
      operation.seen = events[operation.watch.worldRank]
      if operation.state == .waiting || operation.state == .inTransit, let failure {
        return .failed(.peerFailed(rank: failure.rank, reason: failure.reason))
      }
      return operation.state
    }
    if case .failed(let error) = state { throw error }
    return state == .done
  }

  /// How often something happened to a rank.
  func eventCount(of rank: Int) -> Int { locked { events[rank] } }

  /// Sleeps until something happens to a rank, for 10 ms at most.
  ///
  /// What comes from other processes has to be looked for: then naps are short, and longer only with the time
  /// that was waited.
  ///
  /// - Parameters:
  ///   - seen: How often something had happened to the rank when it looked.
  ///   - elapsed: Nanoseconds waited so far.
  func sleep(_ rank: Int, seen: Int, after elapsed: UInt64) {
    let nap = bridge == nil ? 10_000_000 : min(max(elapsed / 8, 5_000), 500_000)
    let end = Clock.nanoseconds + nap
    var time = timespec(tv_sec: Int(end / 1_000_000_000), tv_nsec: Int(end % 1_000_000_000))
    locked {
      guard events[rank] == seen else { return }
      pthread_cond_timedwait(wakes + rank, mutex, &time)
    }
  }

  /// Says that an operation leaves for another process.
  func markSending(_ operation: ThreadOperation, at channel: Channel) throws(MessagePassingError) {
    _ = try matching {
      operation.place = .message(channel)
      operation.state = .inTransit
      return []
    }
  }

  /// Says that an operation waits for bytes that are on their way from another process.
  func markInTransit(_ operation: ThreadOperation) { locked { operation.state = .inTransit } }

  /// Says that an operation is no longer on its way.
  func markWaiting(_ operation: ThreadOperation) { locked { operation.state = .waiting } }

  /// A number for a communicator that no other has, in any process.
  func reserveContext() -> Int {
    let stride = size / (bridge?.hostedCount ?? size)
    return locked { advanceContexts(1) } * stride + (bridge?.processRank ?? 0)
  }

  /// Withdraws an operation that its rank has given up.
  ///
  /// If the rank gave it up without an error, this is a mistake that ends the communication of all.
  func cancel(_ operation: ThreadOperation) {
    let rank = operation.watch.worldRank
    locked {
      while operation.state == .working { pthread_cond_wait(wakes + rank, mutex) }
      guard operation.state == .waiting else { return }
      switch operation.place {
      case .message(let channel)?: messages[channel]?.removeAll { $0 === operation }
      case .collective(let place)?: collectives[place]?.removeAll { $0 === operation }
      case nil: break
      }
      guard failure == nil, !operation.watch.isFailing else { return }
      let error = MessagePassingError.requestDropped(request: operation.description)
      failure = (rank, error.description)
      for rank in 0..<size { wake(rank) }
    }
  }

  /// Runs `match` under the mutex, and marks the operations that it finds complete as being worked on.
  private func matching(_ match: () -> [ThreadOperation])
    throws(MessagePassingError) -> [ThreadOperation]
  {
    let result = locked { () -> Result<[ThreadOperation], MessagePassingError> in
      if let failure {
        return .failure(.peerFailed(rank: failure.rank, reason: failure.reason))
      }
      let found = match()
      for operation in found { operation.state = .working }
      return .success(found)
    }
    return try result.get()
  }

  /// Says that operations are done, or why they failed.
  func finish(_ operations: [ThreadOperation], _ error: MessagePassingError? = nil) {
    locked {
      for operation in operations {
        operation.state = error.map { .failed($0) } ?? .done
        wake(operation.watch.worldRank)
      }
    }
  }

  private func advanceContexts(_ count: Int) -> Int {
    defer { contexts += count }
    return contexts
  }

  private func wake(_ rank: Int) {
    events[rank] += 1
    pthread_cond_broadcast(wakes + rank)
  }

  private func locked<T>(_ body: () -> T) -> T {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body()
  }
}
