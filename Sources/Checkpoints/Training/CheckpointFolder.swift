import Files

/// The checkpoints of a run, in their folder: `step-00000120` and so on, in the order in which they were written.
package struct CheckpointFolder: Sendable {
  /// The folder, which need not exist.
  package let path: String

  package init(path: String) { self.path = path }

  /// The name of a checkpoint's folder.
  package static func name(_ step: Int) -> String {
    let digits = String(step)
    return "step-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
  }

  /// The step that a folder's name tells; nil for any other name, such as one that was set aside.
  private static func step(_ name: String) -> Int? {
    name.hasPrefix("step-") && name.dropFirst(5).allSatisfy(\.isNumber)
      ? Int(name.dropFirst(5)) : nil
  }

  private func names() throws(CheckpointError) -> [String] {
    guard FileSystem.exists(path) else { return [] }
    return try checkpointFiles { () throws(FileError) in try FileSystem.names(in: path) }
  }

  /// A folder that is named as a checkpoint, and what is known of it without reading its numbers.
  package struct Item {
    /// Where it lies.
    package let path: String
    /// The step that its name tells.
    package let step: Int
    /// It, or why it cannot be opened.
    package let checkpoint: Result<Checkpoint, CheckpointError>

    /// One that is named.
    package init(_ checkpoint: Checkpoint) {
      self.init(
        path: checkpoint.path, step: checkpoint.state.step, checkpoint: .success(checkpoint))
    }

    init(path: String, step: Int, checkpoint: Result<Checkpoint, CheckpointError>) {
      (self.path, self.step, self.checkpoint) = (path, step, checkpoint)
    }

    /// Its place among the others; what cannot be opened stands by its step, as what was written before there were places.
    var serial: Int { (try? checkpoint.get().state.serial) ?? 0 }
  }

  /// All that are named as checkpoints and not set aside, in the order in which they were written.
  ///
  /// - Throws: `CheckpointError` for a folder that cannot be read.
  package func items() throws(CheckpointError) -> [Item] {
    let found = try names().compactMap { name in
      Self.step(name).map { step in
        let path = "\(self.path)/\(name)"
        return Item(
          path: path, step: step,
          checkpoint: Result { () throws(CheckpointError) in try Checkpoint(path: path) })
      }
    }
    // One that cannot be opened comes right after the last of its steps that can.
    let known = found.filter { $0.serial > 0 }
    func order(_ item: Item) -> (Int, Int) {
      let serial =
        item.serial > 0
        ? item.serial : known.filter { $0.step < item.step }.map(\.serial).max() ?? 0
      return (serial, item.step)
    }
    return found.map { ($0, order($0)) }.sorted { $0.1 < $1.1 }.map(\.0)
  }

  /// The checkpoint that was written last, of those that can be opened.
  package func latest() throws(CheckpointError) -> Checkpoint? {
    try items().reversed().lazy.compactMap { try? $0.checkpoint.get() }.first
  }

  /// The place of the next checkpoint.
  package func nextSerial() throws(CheckpointError) -> Int {
    let all = try items() + setAside()
    return (all.map(\.serial).max() ?? 0) + 1
  }

  /// Removes what a run that was killed left of checkpoints that it was writing.
  static func removeUnfinished(in folder: String) throws(FileError) {
    for name in try FileSystem.names(in: folder) where name.hasPrefix(".tmp-step-") {
      try FileSystem.remove("\(folder)/\(name)")
    }
  }
}

// MARK: Keeping and setting aside

extension CheckpointFolder {
  /// Deletes all but those that were written last.
  ///
  /// - Parameters:
  ///   - newest: How many stay; 0 for all.
  ///   - every: Those of such steps stay for good; 0 for none.
  ///   - written: One that stays whatever else is said.
  package func prune(keeping newest: Int, every: Int, and written: String) {
    // What is not deleted now is the next time.
    guard newest > 0, let items = try? items() else { return }
    for old in items.dropLast(newest)
    where (every == 0 || old.step % every != 0) && old.path != written {
      try? FileSystem.remove(old.path)
    }
  }

  /// Sets aside what was written after a checkpoint, as the run goes back to it.
  ///
  /// They are renamed, the last one first, as `step-00000300.abandoned-1`.
  ///
  /// - Returns: Where each lay and where it is now, ascending.
  package func setAside(
    after checkpoint: Checkpoint
  ) throws(CheckpointError) -> [(was: String, is: String)] {
    let later = try items().filter {
      $0.serial > checkpoint.state.serial || $0.step > checkpoint.state.step
    }
    var moved: [(was: String, is: String)] = []
    for item in later.sorted(by: { $0.step > $1.step }) {
      var number = 1
      while FileSystem.exists("\(item.path)\(Self.mark)\(number)") { number += 1 }
      let place = "\(item.path)\(Self.mark)\(number)"
      try checkpointFiles { () throws(FileError) in try FileSystem.rename(item.path, to: place) }
      moved.append((item.path, place))
    }
    if !moved.isEmpty {
      try checkpointFiles { () throws(FileError) in try FileSystem.synchronize(path) }
    }
    return moved.reversed()
  }

  private static let mark = ".abandoned-"

  /// Those that were set aside.
  package func setAside() throws(CheckpointError) -> [Item] {
    try names().compactMap { name in
      guard let mark = name.range(of: Self.mark),
        let step = Self.step(String(name[..<mark.lowerBound]))
      else { return nil }
      let path = "\(self.path)/\(name)"
      return Item(
        path: path, step: step,
        checkpoint: Result { () throws(CheckpointError) in try Checkpoint(path: path) })
    }
  }

  /// Deletes those that were set aside.
  ///
  /// - Returns: How many.
  package func forget() throws(CheckpointError) -> Int {
    let old = try setAside()
    for item in old {
      try checkpointFiles { () throws(FileError) in try FileSystem.remove(item.path) }
    }
    return old.count
  }
}
