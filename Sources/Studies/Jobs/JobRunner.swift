import Dispatch
import Files
import Foundation
import Synchronization

/// Runs whole jobs, one after another or several at once, and ends those at work when the user wants an end.
///
/// While it lives, SIGINT, SIGTERM, SIGHUP and SIGUSR1 do not end this process: the jobs are asked to end, their runs do,
/// and `run` throws.
///
/// Unchecked: what is not constant is behind a lock.
final class JobRunner: @unchecked Sendable {
  /// What the signals' handlers share with `run`.
  private final class Current: Sendable {
    struct State {
      var processes: [Int32: Process] = [:]
      var isInterrupted = false
      var keyboardInterrupts = 0
    }

    let state = Mutex(State())
    let asking: Int32

    init(asking: Int32) { self.asking = asking }

    /// Asks the jobs to end; a second SIGINT kills them.
    ///
    /// Other signals come twice without meaning more: from a scheduler, and from the script that it runs. Which of several
    /// signals is handled first is by chance.
    func interrupt(by number: Int32) {
      state.withLock {
        if number == SIGINT { $0.keyboardInterrupts += 1 }
        let signal = $0.keyboardInterrupts > 1 ? SIGKILL : asking
        $0.isInterrupted = true
        for (identifier, process) in $0.processes where process.isRunning {
          kill(identifier, signal)
        }
      }
    }
  }

  private let current: Current
  private let sources: [any DispatchSourceSignal]
  private static let signals = [SIGINT, SIGTERM, SIGHUP, SIGUSR1]

  /// Whether the user, or the system, has asked for an end.
  var isInterrupted: Bool { current.state.withLock { $0.isInterrupted } }

  /// Begins to listen to signals.
  ///
  /// - Parameter asking: What a job is asked by to end: SIGTERM, or SIGUSR1, upon which a run writes a checkpoint first,
  ///   and which a launcher passes on to its ranks.
  init(asking: Int32 = SIGTERM) {
    let current = Current(asking: asking)
    self.current = current
    sources = Self.signals.map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { current.interrupt(by: number) }
      source.activate()
      return source
    }
  }

  deinit {
    for source in sources { source.cancel() }
    for number in Self.signals { signal(number, SIG_DFL) }
  }

  /// Runs a job of ranks to its end.
  ///
  /// - Parameters:
  ///   - ranks: How many ranks.
  ///   - arguments: The program's.
  ///   - output: File for all that the job says.
  /// - Throws: `JobError` of a job that did not end well; `FileError`.
  func run(
    _ launcher: MPILauncher, ranks: Int, arguments: [String], output: String
  ) throws {
    try run(
      launcher.command(ranks: ranks, arguments: arguments), environment: launcher.environment,
      output: output)
  }

  /// Runs a command to its end.
  ///
  /// - Parameter output: File for all that it says.
  /// - Throws: `JobError` where it did not end well; `FileError`.
  func run(_ words: [String], environment: [String: String], output: String) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: words[0])
    process.arguments = Array(words.dropFirst())
    process.environment = environment
    try AtomicFile.write(Data(), to: output)
    guard let file = FileHandle(forWritingAtPath: output) else { throw FileError("write", output) }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = file
    process.standardError = file
    let ended = DispatchSemaphore(value: 0)
    process.terminationHandler = { _ in ended.signal() }
    let identifier = try current.state.withLock {
      guard !$0.isInterrupted else { throw JobError.interrupted }
      do {
        try process.run()
      } catch {
        throw JobError.launcher("cannot start \(words[0]): \(error.localizedDescription)")
      }
      $0.processes[process.processIdentifier] = process
      return process.processIdentifier
    }
    ended.wait()
    let isInterrupted = current.state.withLock {
      $0.processes[identifier] = nil
      return $0.isInterrupted
    }
    let (code, bySignal) = (process.terminationStatus, process.terminationReason != .exit)
    if code == 0, !bySignal { return }
    if isInterrupted { throw JobError.interrupted }
    let said = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
    throw JobError.failed(
      code: bySignal ? 128 + code : code, lastWords: Self.lastWords(said), output: output)
  }

  /// The line of a failed job's output that tells most: the program's own, before the launcher's.
  static func lastWords(_ output: String) -> String {
    let lines = output.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
    let own = lines.prefix { !$0.hasPrefix("-----") && !$0.hasPrefix("Primary job") }
    return (own.last { !$0.isEmpty } ?? lines.first { !$0.isEmpty && !$0.hasPrefix("-----") }) ?? ""
  }
}
