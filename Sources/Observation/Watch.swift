import Files
import Foundation
import Reporting

/// `lasp-train watch`: follows runs by their logs, in the terminal or as a page.
package enum Watch {
  /// Shows a run as it goes on, until it has finished; one that has not begun yet is waited for.
  ///
  /// - Throws: `FileError` for a log that cannot be read.
  package static func follow(run: String, output: TerminalOutput) throws {
    var follower = LogFollower(run: run)
    var view = RunView(output)
    var isOver = false
    if !FileSystem.exists(follower.path) { output.notice("waits for \(follower.path)") }
    while true {
      var events: [RunRecord.Event] = []
      try follower.poll { events.append($0) }
      for event in events { isOver = view.show(event, of: follower.record) }
      if isOver { return }
      usleep(300_000)
    }
  }

  /// Serves the live page of runs, until the process is ended.
  ///
  /// - Parameters:
  ///   - token: What a visitor must know; nil for none, which only an address of this machine alone may have.
  ///   - ready: Called with the page's address once it can be seen.
  /// - Throws: `ObservationError`.
  package static func serve(
    runs: [String], at address: String, token: String?,
    ready: @escaping @Sendable (String) -> Void
  ) throws {
    #if LASP_SERVER
      let address = try ServeAddress(address)
      let server = try WatchServer(runs, at: address, token: token)
      let host = address.isLong ? "[\(address.host)]" : address.host
      let done = DispatchSemaphore(value: 0)
      let failure = Failure()
      Task {
        do {
          try await server.run { port in
            ready("http://\(host):\(port)/" + (token == nil ? "" : "?token=…"))
          }
        } catch {
          failure.set(error)
        }
        done.signal()
      }
      done.wait()
      if let error = failure.error { throw error }
    #else
      throw ObservationError.noServer
    #endif
  }

  private final class Failure: @unchecked Sendable {
    private let lock = NSLock()
    private var stored: (any Error)?

    var error: (any Error)? { lock.withLock { stored } }

    func set(_ error: any Error) { lock.withLock { stored = error } }
  }
}
