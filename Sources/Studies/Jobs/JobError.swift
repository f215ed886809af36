/// Why a whole job of ranks, or its log, is of no use.
enum JobError: Error, Equatable, CustomStringConvertible {
  /// No launcher was found, or the one that was given cannot be started.
  case launcher(String)
  /// The job ended with an exit code other than 0.
  case failed(code: Int32, lastWords: String, output: String)
  /// The user, or the system, asked for an end.
  case interrupted
  /// The job's log is not what a whole run writes.
  case log(path: String, reason: String)

  /// What is wrong and what to do.
  var description: String {
    switch self {
    case .launcher(let sentence): sentence
    case .failed(let code, let lastWords, let output):
      "exit code \(code): \(lastWords.isEmpty ? "it said nothing" : lastWords) (all it said is in \(output))"
    case .interrupted: "interrupted"
    case .log(let path, let reason): "\(path): \(reason)"
    }
  }
}
