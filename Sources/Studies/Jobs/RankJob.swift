import Configuration
import Files
import Foundation
import Observation
import Training

/// The folder of a measurement that consists of many jobs.
struct JobFolder: Sendable {
  /// Where it lies.
  let path: String

  /// Makes the folder.
  ///
  /// - Parameters:
  ///   - given: What the user asked for; nil for a new folder in `runs`, named by purpose and time.
  ///   - purpose: What is measured.
  init(_ given: String?, purpose: String) throws {
    if let given {
      try FileSystem.makeFolder(given)
      path = given
    } else {
      path = try RunFolder.makeNew(named: "\(purpose)-\(RunFolder.stamp(at: time(nil)))").path
    }
  }
}

/// One training run on several ranks, as a job of its own.
struct RankJob: Sendable {
  /// Name of its folder.
  let name: String
  /// How many ranks.
  let ranks: Int
  /// Run file; nil for the built-in default.
  let runFile: String?
  /// Keys of the run file that the job sets.
  let overrides: [Override]

  /// Runs the job and reads its log; what it trained is not kept.
  ///
  /// - Throws: `JobError` where the job or its log is of no use; `FileError`.
  func run(
    _ launcher: MPILauncher, _ runner: JobRunner, in folder: JobFolder
  ) throws -> RunRecord {
    let place = "\(folder.path)/jobs/\(name)"
    try FileSystem.makeFolder(place)
    let arguments =
      ["train"] + (runFile.map { [$0] } ?? []) + overrides.map { "--\($0)" }
      + ["--checkpoint.minutes=0", "--log.directory=\(place)", "--overwrite"]
    defer {
      for part in ["model", "checkpoints"] { try? FileSystem.remove("\(place)/\(part)") }
    }
    try runner.run(launcher, ranks: ranks, arguments: arguments, output: "\(place)/output.txt")
    let path = "\(place)/log.jsonl"
    let log: RunRecord
    do { log = try LogFollower.read(run: place) } catch let error as ObservationError {
      throw JobError.log(path: path, reason: "the run wrote no log (\(error))")
    }
    guard log.oddLines == 0 else {
      throw JobError.log(path: path, reason: "\(log.oddLines) of its lines are no events")
    }
    guard log.end?.reason == "finished" else {
      throw JobError.log(path: path, reason: "the run ended early: \(log.end?.reason ?? "killed")")
    }
    return log
  }
}
