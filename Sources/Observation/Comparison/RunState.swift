import Foundation

/// How a run stands, as its log and the sign of life of its writer tell.
package enum RunState: Sendable, Equatable {
  /// There is a log, and nothing has begun in it.
  case waiting
  /// It goes on now.
  case running
  /// All steps are done.
  case finished
  /// It was stopped or killed, and can go on.
  case interrupted
  /// It ended by an error.
  case failed(reason: String)

  /// Seconds without a sign of life, after which a writer counts as gone: it gives one every five.
  static let patience = 20.0

  /// How a run stands.
  ///
  /// - Parameter now: Seconds since 1970.
  package init(_ record: RunRecord, now: Double = Date().timeIntervalSince1970) {
    switch record.end?.reason {
    case "finished": self = .finished
    case let reason? where reason.hasPrefix("stopped "): self = .interrupted
    case let reason?: self = .failed(reason: reason)
    case nil:
      var status = stat()
      let isHeld = stat("\(record.folder)/writer.json", &status) == 0
      let age = now - Double(status.st_mtim.tv_sec)
      self =
        isHeld && age < Self.patience
        ? .running : record.start == nil ? .waiting : .interrupted
    }
  }

  /// The state in a word.
  package var word: String {
    switch self {
    case .waiting: "waiting"
    case .running: "running"
    case .finished: "finished"
    case .interrupted: "interrupted"
    case .failed: "failed"
    }
  }
}
