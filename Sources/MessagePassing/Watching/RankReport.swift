import Faults

/// What a process tells of itself when another asks.
struct RankReport: Sendable, Equatable {
  /// What it waits for.
  struct Wait: Sendable, Equatable {
    /// Such as `state of layer 3 from rank 2`.
    var purpose: String
    /// For how many seconds already.
    var seconds: Double
    /// The ranks that it waits for, as the world counts; nil if it cannot tell.
    var peers: [Int]?
  }

  /// What came of asking.
  enum Answer: Sendable, Equatable {
    /// It waits, as all its ranks do.
    case waiting(Wait)
    /// It is at something else.
    ///
    /// - Parameter idle: Seconds since it last showed progress.
    case working(idle: Double, isLong: Bool)
    /// Something is there, but tells nothing.
    case silent(isStopped: Bool)
    /// Nothing is there.
    case absent
  }

  /// The rank, as the world counts, or as the launcher does before there is a world.
  var rank: Int
  /// The host's name; empty if it is not known.
  var host: String
  /// The process; 0 if it is not known.
  var process: Int32
  /// What it is at, such as `step 17`.
  var phase: String
  /// For how long, in seconds.
  var phaseSeconds: Double
  var answer: Answer

  /// Whether it works, or should, and has shown no progress for so many seconds.
  func isIdle(longerThan limit: Double) -> Bool {
    if case .working(let idle, isLong: false) = answer { idle > limit } else { false }
  }

  /// How lines name it, such as `rank 3 (node7, process 4711)`.
  var name: String {
    let place = [host, process > 0 ? "process \(process)" : ""].filter { !$0.isEmpty }
    return place.isEmpty ? "rank \(rank)" : "rank \(rank) (\(place.joined(separator: ", ")))"
  }

  /// The report as a line between processes.
  var line: String {
    var fields = [
      "\(rank)", host, "\(process)", phase, "\(phaseSeconds)",
    ]
    switch answer {
    case .waiting(let wait):
      fields += [
        "waiting", wait.purpose, "\(wait.seconds)",
        wait.peers.map { $0.map(String.init).joined(separator: ",") } ?? "-",
      ]
    case .working(let idle, let isLong): fields += [isLong ? "long" : "working", "\(idle)"]
    case .silent, .absent: break
    }
    let text = fields.joined(separator: "\t")
    return String(text.map { $0.isNewline ? " " : $0 })
  }

  /// Reads a line; nil if it is none.
  init?(line: String) {
    let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
    guard fields.count >= 7, let rank = Int(fields[0]), let process = Int32(fields[2]),
      let seconds = Double(fields[4])
    else { return nil }
    (self.rank, host, self.process, phase) = (rank, fields[1], process, fields[3])
    phaseSeconds = seconds
    if fields[5] == "waiting", fields.count == 9, let waited = Double(fields[7]) {
      answer = .waiting(
        Wait(
          purpose: fields[6], seconds: waited,
          peers: fields[8] == "-" ? nil : fields[8].split(separator: ",").compactMap { Int($0) }))
    } else if ["working", "long"].contains(fields[5]), let idle = Double(fields[6]) {
      answer = .working(idle: idle, isLong: fields[5] == "long")
    } else {
      return nil
    }
  }

  init(
    rank: Int, host: String = "", process: Int32 = 0, phase: String = "", phaseSeconds: Double = 0,
    _ answer: Answer
  ) {
    (self.rank, self.host, self.process) = (rank, host, process)
    (self.phase, self.phaseSeconds, self.answer) = (phase, phaseSeconds, answer)
  }
}
