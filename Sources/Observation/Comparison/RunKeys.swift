import Configuration

/// The keys in which the run files of runs differ.
package struct RunKeys: Sendable {
  /// A key with each run's value.
  package struct Difference: Sendable, Equatable {
    package let key: String
    package let values: [String]
  }

  /// Keys that say where a run writes, and how it is started and shown: what is computed does not depend on them.
  static let ofPlaces: Set = [
    "log.directory", "training.name", "training.resume", "log.every", "log.tensorboard",
    "log.ranks", "threads",
  ]

  /// All of them, by name.
  package let all: [Difference]

  /// - Parameter keys: Each run's keys and values.
  package init(_ keys: [[String: String]]) {
    let names = Set(keys.flatMap(\.keys)).sorted()
    all = names.compactMap { name in
      let values = keys.map { $0[name] ?? "–" }
      return Set(values).count > 1 ? Difference(key: name, values: values) : nil
    }
  }

  /// Those that are not about places.
  package var telling: [Difference] { all.filter { !Self.ofPlaces.contains($0.key) } }

  /// Keys that tell the runs apart, seeds aside, and no more of them than are needed.
  ///
  /// What follows from the others is left out: first keys that only some runs have, as those of a mixer, then numbers, such as
  /// a width that was chosen for each mixer.
  package var grouping: [String] {
    var chosen = telling.filter { $0.key != Self.seed }
    func groups(_ keys: [Difference]) -> Int {
      guard let count = keys.first?.values.count else { return 1 }
      return Set((0..<count).map { run in keys.map { $0.values[run] } }).count
    }
    func order(_ key: Difference) -> Int {
      if key.values.contains("–") { return 0 }
      return key.values.allSatisfy { Double($0) != nil } ? 1 : 2
    }
    for rank in 0...2 {
      for key in chosen where order(key) == rank {
        let rest = chosen.filter { $0 != key }
        // A number, such as that of steps, may tell all runs apart, and yet does not say what a name says.
        let kept = rest.filter { rank < 2 || order($0) == 2 }
        if groups(kept) == groups(kept + [key]) { chosen = rest }
      }
    }
    return chosen.map(\.key)
  }

  /// The key in which runs of one group differ.
  static let seed = "training.seed"
}
