import Checkpoints
import Configuration
import Foundation
import TemporaryFolders
import Tensors

@testable import MessagePassing
@testable import Training

/// Small runs in a folder of a test's own, on ranks that are threads.
struct SmallRuns {
  let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    BLAS.setThreads(1)
  }

  /// The folder of a run.
  func path(_ name: String) -> String { folder.file(name) }

  /// The folder of a run's checkpoint.
  func checkpoint(_ name: String, _ step: Int) -> String {
    "\(path(name))/checkpoints/\(CheckpointFolder.name(step))"
  }

  /// Trains six steps, with a checkpoint after every second, or as keys say.
  @discardableResult
  func train(
    _ name: String, _ keys: [String] = [], ranks: Int = 2,
    _ options: TrainingOptions = TrainingOptions(), clock: (@Sendable () -> Double)? = nil,
    until isAsked: @Sendable (_ asked: Int) -> Bool = { _ in false }
  ) throws -> [TrainingEnd] {
    let run = try SmallRun(
      [
        "log.directory=\(path(name))", "checkpoint.every=2", "checkpoint.keep=0",
        "evaluation.every=0",
      ] + keys, steps: keys.contains { $0.hasPrefix("linearise.stages") } ? nil : 6)
    return try train(run.configuration, ranks: ranks, options, clock: clock, until: isAsked)
  }

  /// Goes on as `--resume` does.
  @discardableResult
  func resume(
    _ path: String, _ overrides: [String] = [], ranks: Int = 2,
    _ options: TrainingOptions = TrainingOptions()
  ) throws -> [TrainingEnd] {
    try train(
      RunConfiguration.resuming(path, overrides: overrides.map { Override($0) }), ranks: ranks,
      options)
  }

  private func train(
    _ configuration: RunConfiguration, ranks: Int, _ options: TrainingOptions,
    clock: (@Sendable () -> Double)? = nil,
    until isAsked: @Sendable (_ asked: Int) -> Bool = { _ in false }
  ) throws -> [TrainingEnd] {
    try ThreadCommunicator.run(ranks: ranks, deadline: 60) { communicator in
      let world = World(
        communicator: communicator, host: Host(ranks: ranks, index: communicator.rank))
      let session = try TrainingSession(
        configuration, options, world: world, workspace: Workspace())
      if let clock { session.clock = clock }
      var asked = 0
      return try session.train {
        asked += 1
        return isAsked(asked)
      }
    }
  }

  /// The final weights of a run.
  func weights(_ name: String, _ file: String = "model/model.safetensors") throws -> Data {
    try folder.read("\(name)/\(file)")
  }

  /// The events of a run's log of one kind.
  func events(_ name: String, _ kind: String) throws -> [JSONValue] {
    try folder.text("\(name)/log.jsonl").split(separator: "\n")
      .map { try JSONValue(Data($0.utf8)) }.filter { $0["event"]?.string == kind }
  }

  /// What a run warned of.
  func warnings(_ name: String) throws -> [String] {
    try events(name, "warning").compactMap { $0["message"]?.string }
  }

  /// The steps of a run's checkpoints, in the order in which they were written.
  func steps(_ name: String) throws -> [Int] {
    try RunFolder(path: path(name)).checkpoints.items().map(\.step)
  }

  /// Deletes a run's model and checkpoints after a step, as if it had been killed there.
  func cut(_ name: String, after step: Int) throws {
    try? FileManager.default.removeItem(atPath: path(name) + "/model")
    for later in try steps(name) where later > step {
      try FileManager.default.removeItem(atPath: checkpoint(name, later))
    }
  }

  /// Flips a bit in the middle of a file.
  func damage(_ path: String) throws {
    let url = URL(fileURLWithPath: path)
    var data = try Data(contentsOf: url)
    data[data.count / 2] ^= 1
    try data.write(to: url)
  }
}

/// The sentence of the error that a body throws; empty for none.
func sentence(_ body: () throws -> Void) -> String {
  do {
    try body()
    return ""
  } catch {
    return "\(error)"
  }
}
