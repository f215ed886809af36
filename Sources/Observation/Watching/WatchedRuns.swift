import Foundation

/// Runs that are followed, for all who look at them.
actor WatchedRuns {
  private var followers: [LogFollower]
  private var version = 0
  private var data = (version: -1, text: "")

  init(_ runs: [String]) { followers = runs.map { LogFollower(run: $0) } }

  /// The runs as far as they have been read.
  var records: [RunRecord] { followers.map(\.record) }

  /// Reads what there is more; what cannot be read now is tried again.
  func poll() {
    for index in followers.indices where (try? followers[index].poll()) == true { version += 1 }
  }

  /// Follows the runs until the task is cancelled.
  func follow(every seconds: Double) async {
    while !Task.isCancelled {
      poll()
      try? await Task.sleep(for: .seconds(seconds))
    }
  }

  /// What the page shows, made once for all who look at it.
  func page() -> (version: Int, text: String) {
    if data.version != version { data = (version, PageData(records, isLive: true).json.text) }
    return data
  }

  /// The same, once it is another than one that is known; nil where it has not become another in some seconds.
  func page(after known: Int, within seconds: Double) async -> (version: Int, text: String)? {
    let end = ProcessInfo.processInfo.systemUptime + seconds
    while version == known {
      guard ProcessInfo.processInfo.systemUptime < end, !Task.isCancelled else { return nil }
      try? await Task.sleep(for: .milliseconds(200))
    }
    return page()
  }
}
