import Faults
import Glibc

extension Optional<MessagePassingError> {
  /// Whether the error only says that another rank failed.
  var isPeerFailed: Bool { if case .peerFailed? = self { true } else { false } }
}

/// A thread that computes one rank's result.
///
/// Unchecked: its thread writes the result, which is read after the thread has been joined.
final class RankThread<T>: @unchecked Sendable {
  private let body: () -> Result<T, any Error>
  private var handle = pthread_t()
  private var result: Result<T, any Error>?

  /// Runs `body` for each of `ranks`, and returns what each gave, in their order.
  ///
  /// - Throws: What the rank that failed first threw; all others are made to throw too.
  static func run(
    _ ranks: Range<Int>, world: ThreadWorld, stackBytes: Int,
    _ body: @Sendable (Int) throws -> T
  ) throws -> [T] {
    try withoutActuallyEscaping(body) { body in
      let tasks = ranks.map { rank in
        RankThread {
          let result = Result { try body(rank) }
          if case .failure(let error) = result { world.fail(rank: rank, reason: "\(error)") }
          return result
        }
      }
      for task in tasks { task.start(stackBytes: stackBytes) }
      for task in tasks { task.join() }
      let results = tasks.map { $0.result! }
      let failures = results.compactMap { result -> (any Error)? in
        if case .failure(let error) = result { error } else { nil }
      }
      if let first = failures.first {
        throw failures.first { !($0 as? MessagePassingError).isPeerFailed } ?? first
      }
      return try results.map { try $0.get() }
    }
  }

  private init(_ body: @escaping () -> Result<T, any Error>) { self.body = body }

  private func start(stackBytes: Int) {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, stackBytes)
    let call = Unmanaged.passRetained(Call { self.result = self.body() })
    let code = pthread_create(
      &handle, &attributes,
      { raw in
        CrashHandler.useOwnStack()
        Unmanaged<Call>.fromOpaque(raw!).takeRetainedValue().body()
        return nil
      }, call.toOpaque())
    guard code == 0 else {
      LastWords.end(
        exhausted: "the thread of a virtual rank could not be started "
          + "(\(String(cString: strerror(code)))); fewer virtual ranks a process "
          + "(parallel.reproducible, or more processes) need fewer threads")
    }
  }

  private func join() { pthread_join(handle, nil) }
}

private final class Call {
  let body: () -> Void
  init(_ body: @escaping () -> Void) { self.body = body }
}
