import Dispatch
import Files
import Foundation
import Synchronization

/// Runs whole jobs of ranks, one after another, and ends the one at work when the user wants an end.
///
/// While it lives, SIGINT, SIGTERM and SIGHUP do not end this process: the job gets SIGTERM, its run ends,
/// and `run` throws.
final class JobRunner {
  /// What the signals' handlers share with `run`.
  private final class Current: Sendable {
    struct State {
      var process: Process?
      var isInterrupted = false
    }

    let state = Mutex(State())

    /// Asks the job to end; asked again, it is killed.
    func interrupt() {
      state.withLock {
        let again = $0.isInterrupted
        $0.isInterrupted = true
        guard let process = $0.process, process.isRunning else { return }
        if again { kill(process.processIdentifier, SIGKILL) } else { process.terminate() }
      }
    }
  }

  private let current = Current()
  private let sources: [any DispatchSourceSignal]
  private static let signals = [SIGINT, SIGTERM, SIGHUP]

  /// Begins to listen to signals.
  init() {
    sources = Self.signals.map {
      signal($0, SIG_IGN)
      return DispatchSource.makeSignalSource(signal: $0, queue: .global())
    }
    for source in sources {
      source.setEventHandler { [current] in current.interrupt() }
      source.activate()
    }
  }

  deinit {
    for source in sources { source.cancel() }
    for number in Self.signals { signal(number, SIG_DFL) }
  }

  /// Runs a job to its end.
  ///
  /// - Parameters:
  ///   - ranks: How many ranks.
  ///   - arguments: The program's.
  ///   - output: File for all that the job says.
  /// - Throws: `JobError` of a job that did not end well; `FileError`.
  func run(
    _ launcher: MPILauncher, ranks: Int, arguments: [String], output: String
  ) throws {
    let words = launcher.command(ranks: ranks, arguments: arguments)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: words[0])
    process.arguments = Array(words.dropFirst())
    process.environment = launcher.environment
    try AtomicFile.write(Data(), to: output)
    guard let file = FileHandle(forWritingAtPath: output) else { throw FileError("write", output) }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = file
    process.standardError = file
    let ended = DispatchSemaphore(value: 0)
    process.terminationHandler = { _ in ended.signal() }
    try current.state.withLock {
      guard !$0.isInterrupted else { throw JobError.interrupted }
      do {
        try process.run()
      } catch {
        throw JobError.launcher("cannot start \(words[0]): \(error.localizedDescription)")
      }
      $0.process = process
    }
    ended.wait()
    try current.state.withLock {
      $0.process = nil
      guard !$0.isInterrupted else { throw JobError.interrupted }
    }
    let (code, bySignal) = (process.terminationStatus, process.terminationReason != .exit)
    guard code == 0, !bySignal else {
      let said = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
      throw JobError.failed(
        code: bySignal ? 128 + code : code, lastWords: Self.lastWords(said), output: output)
    }
  }

  /// The line of a failed job's output that tells most: the program's own, before the launcher's.
  static func lastWords(_ output: String) -> String {
    let lines = output.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
    let own = lines.prefix { !$0.hasPrefix("-----") && !$0.hasPrefix("Primary job") }
    return (own.last { !$0.isEmpty } ?? lines.first { !$0.isEmpty && !$0.hasPrefix("-----") }) ?? ""
  }
}
