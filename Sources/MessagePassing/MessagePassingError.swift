/// What can go wrong between ranks.
package enum MessagePassingError: Error, Sendable {
  /// An MPI call failed; `message` is MPI's own.
  case library(call: String, message: String)
  /// Nothing came for `seconds` while waiting for `purpose`; `culprit` says who holds it up, where that was found out.
  case deadline(purpose: String, seconds: Double, culprit: String? = nil)
  /// Another rank failed, for a reason of its own; `rank` counts in the world.
  case peerFailed(rank: Int, reason: String)
  /// A message has another size, in bytes, than the receiver expects.
  case sizeMismatch(message: String, expected: Int, received: Int)
  /// Two ranks came to the same place of the program with different collectives.
  case collectiveMismatch(rank: Int, call: String, otherRank: Int, otherCall: String)
  /// A request was thrown away before it was finished: a mistake in the program.
  case requestDropped(request: String)
  /// Something polled during a wait threw.
  case interrupted(purpose: String, by: any Error)
  /// The program was started by something that does not make it one MPI world.
  case launcher(String)
  /// The ranks do not fit the grid that was asked for.
  case grid(String)
}

extension MessagePassingError: CustomStringConvertible {
  /// One sentence: what happened; what to do.
  package var description: String {
    switch self {
    case .library(let call, let message):
      return "\(call) failed: \(message)"
    case .deadline(let purpose, let seconds, let culprit):
      return "waited \(seconds.rounded(toPlaces: 1)) s for \(purpose) and it did not come"
        + (culprit.map { ": \($0); see to that rank" } ?? "; look for a rank that stopped or lags")
        + ", or give parallel.timeout more seconds"
    case .peerFailed(let rank, let reason):
      return "rank \(rank) failed: \(reason)"
    case .sizeMismatch(let message, let expected, let received):
      return "\(message): \(expected) bytes are expected and \(received) came; "
        + "the ranks do not run the same program or configuration"
    case .collectiveMismatch(let rank, let call, let otherRank, let otherCall):
      return "rank \(rank) calls \(call) where rank \(otherRank) calls \(otherCall); "
        + "the ranks do not run the same program or configuration"
    case .requestDropped(let request):
      return "the request of \(request) was thrown away before it was finished; "
        + "this is a mistake in the program"
    case .interrupted(let purpose, let error):
      return "\(error) (while waiting for \(purpose))"
    case .launcher(let sentence), .grid(let sentence):
      return sentence
    }
  }
}

extension Double {
  func rounded(toPlaces places: Int) -> Double {
    var scale = 1.0
    for _ in 0..<places { scale *= 10 }
    return (self * scale).rounded() / scale
  }
}
