import Checkpoints
import Files
import Foundation
import TensorBoard

/// Where a run writes: its log, its final model and its checkpoints.
package struct RunFolder: Sendable, Equatable {
  /// The folder: `log.directory`, else `runs/<name>`.
  package let path: String
  /// Whether the run goes on with what an earlier one left there.
  package let continues: Bool

  /// Names a folder that rank 0 has prepared.
  package init(path: String, continues: Bool = false) {
    self.path = path
    self.continues = continues
  }

  /// The log, an event a line.
  package var logPath: String { "\(path)/log.jsonl" }
  /// The folder of the final weights.
  package var modelPath: String { "\(path)/model" }
  /// The folder of the final adapters, where the model has some.
  package var adapterPath: String { "\(path)/adapter" }
  /// The folder of checkpoints.
  package var checkpointsPath: String { "\(path)/checkpoints" }
  /// The checkpoints.
  package var checkpoints: CheckpointFolder { CheckpointFolder(path: checkpointsPath) }

  /// Finds and makes a run's folder; only rank 0 calls it.
  ///
  /// A folder that the user named by `log.directory` or `training.name` is refused where it holds an
  /// earlier run, unless this one resumes that run or may overwrite it. Nothing is removed here:
  /// `TrainingSession` does that when the run really starts. A run without a name gets one from its data and
  /// the time, which no other run has, as `recall-20261121-084213`.
  ///
  /// - Throws: `TrainingError.folderTaken`; `FileError` for a place that may not be written.
  package static func prepare(configuration: RunConfiguration, overwrite: Bool) throws -> RunFolder
  {
    guard let path = givenPath(configuration) else {
      return try makeNew(named: name(for: configuration, at: time(nil)))
    }
    let folder = RunFolder(path: path, continues: resumes(configuration, in: path))
    if folder.holdsRun, !folder.continues, !overwrite { throw TrainingError.folderTaken(path) }
    try FileSystem.makeFolder(path)
    guard access(path, W_OK | X_OK) == 0 else { throw FileError("write to", path) }
    // What is written in the end would be refused then, after all steps.
    if !overwrite {
      for path in [folder.modelPath, folder.adapterPath] { try FileSystem.checkOutput(path) }
    }
    return folder
  }

  /// Takes the folder that the user named, where there is one already; only rank 0 calls it.
  ///
  /// - Throws: `TrainingError.folderInUse`; `FileError` for a place that may not be written.
  static func lock(configuration: RunConfiguration) throws -> RunLock? {
    guard let path = givenPath(configuration), FileSystem.isFolder(path) else { return nil }
    return try RunLock(path)
  }

  /// Whether a run writes to a folder now, on this host or another.
  package static func isInUse(_ path: String) -> Bool { RunLock.isHeld(path) }

  /// Removes what an earlier run left, and nothing else.
  func removeEarlierRun() throws(FileError) {
    for part in parts { try FileSystem.remove(part) }
  }

  /// The name of a run that the user did not name: its data and the local time.
  static func name(for configuration: RunConfiguration, at time: time_t) -> String {
    "\(dataName(configuration))-\(stamp(at: time))"
  }

  /// The local time as it stands in names: `20261121-084213`.
  package static func stamp(at time: time_t) -> String {
    var (time, parts) = (time, tm())
    localtime_r(&time, &parts)
    var buffer = [CChar](repeating: 0, count: 32)
    strftime(&buffer, buffer.count, "%Y%m%d-%H%M%S", &parts)
    return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
  }

  /// Makes `runs/<name>`, or `runs/<name>-2` and so on where another run was as fast.
  package static func makeNew(named name: String, in runs: String = "runs") throws -> RunFolder {
    try FileSystem.makeFolder(runs)
    for number in 1... {
      let path = "\(runs)/\(name)" + (number == 1 ? "" : "-\(number)")
      if mkdir(path, 0o777) == 0 { return RunFolder(path: path) }
      guard errno == EEXIST else { throw FileError("make the folder", path) }
    }
    preconditionFailure("the numbers of \(name) have run out")
  }

  private var parts: [String] {
    [logPath, modelPath, adapterPath, checkpointsPath, EventFile.folder(of: path)]
  }

  /// Whether the run has made its model after a checkpoint; a model that is older is of what the run went back behind.
  func isFinished(after checkpoint: Checkpoint) -> Bool {
    func time(_ path: String) -> Date? {
      (try? FileManager.default.attributesOfItem(atPath: path))?[.modificationDate] as? Date
    }
    guard let written = time(checkpoint.path) else { return false }
    return [modelPath, adapterPath].compactMap(time).contains { $0 >= written }
  }

  private var holdsRun: Bool { parts.contains(where: FileSystem.exists) }

  /// The folder that the user named; nil for none.
  static func givenPath(_ configuration: RunConfiguration) -> String? {
    guard var path = configuration.log.directory else {
      return configuration.training.name.map { "runs/\($0)" }
    }
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    return path
  }

  /// Whether a run goes on with the one in the folder that its run file names.
  static func resumes(_ configuration: RunConfiguration) -> Bool {
    givenPath(configuration).map { resumes(configuration, in: $0) } ?? false
  }

  /// Whether the run goes on with the one in its own folder; another's checkpoint begins a new run.
  private static func resumes(_ configuration: RunConfiguration, in path: String) -> Bool {
    switch configuration.training.resume {
    case .none: false
    case .auto: true
    case .path(let checkpoint):
      (resolved(checkpoint) + "/").hasPrefix(resolved(path) + "/")
    }
  }

  static func resolved(_ path: String) -> String {
    URL(fileURLWithPath: path).resolvingSymlinksInPath().path
  }

  private static func dataName(_ configuration: RunConfiguration) -> String {
    guard let first = configuration.data.path.first else { return configuration.data.task }
    let file = URL(fileURLWithPath: first.path).deletingPathExtension().lastPathComponent
    let plain = file.prefix(40).map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" }
    let name = String(plain).trimmingCharacters(in: ["-"])
    return name.isEmpty ? "data" : name
  }
}
