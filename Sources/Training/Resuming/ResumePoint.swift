import Checkpoints
import Configuration
import MessagePassing
import Tensors

/// The checkpoint that a run goes on from, the same on all ranks and found whole, and what a user should know of it.
struct ResumePoint {
  /// The checkpoint.
  let checkpoint: Checkpoint
  /// Which checkpoints were passed over and why, and what else a user is to be told.
  var warnings: [String] = []

  /// What the checkpoint says beside its numbers.
  var state: TrainingState { checkpoint.state }

  /// Finds what the run file names, or the checkpoint of the run's own folder that was written last and is whole.
  ///
  /// Collective: rank 0 says which checkpoints there are, and all ranks together compare their files with what was written.
  ///
  /// - Returns: nil where the run begins at step 0.
  /// - Throws: `CheckpointError` for a named checkpoint that is damaged, and where no checkpoint is whole.
  static func find(
    _ configuration: RunConfiguration, world: any Communicator
  ) throws -> ResumePoint? {
    switch configuration.training.resume {
    case .none: return nil
    case .path(let path):
      let checkpoint = try world.together {
        let checkpoint = try Checkpoint(path: path)
        try checkpoint.verify(part: world.rank, of: world.size)
        return checkpoint
      }
      return ResumePoint(checkpoint: checkpoint, warnings: former(checkpoint))
    case .auto:
      guard let folder = RunFolder.givenPath(configuration) else { return nil }
      return try latest(in: RunFolder(path: folder), world: world)
    }
  }

  /// The checkpoint that a run would go on from, unread and unchecked; nil for none, or one of an earlier format.
  static func planned(_ configuration: RunConfiguration) -> Checkpoint? {
    let checkpoint: Checkpoint? =
      switch configuration.training.resume {
      case .none: nil
      case .path(let path): try? Checkpoint(path: path)
      case .auto:
        RunFolder.givenPath(configuration).flatMap { try? RunFolder(path: $0).checkpoints.latest() }
      }
    return checkpoint?.isFormer == false ? checkpoint : nil
  }

  private static func latest(
    in folder: RunFolder, world: any Communicator
  ) throws -> ResumePoint? {
    let mine = try world.together {
      world.rank == 0 ? try folder.checkpoints.items().reversed().map(\.path) : []
    }
    let paths = try world.broadcast(mine.joined(separator: "\n")).split(separator: "\n")
    var skipped: [(path: String, why: String)] = []
    for path in paths.map(String.init) {
      let opened = Result { () throws(CheckpointError) in
        let checkpoint = try Checkpoint(path: path)
        try checkpoint.verify(part: world.rank, of: world.size)
        return checkpoint
      }
      var problem = ""
      if case .failure(let error) = opened { problem = "\(error)" }
      if let why = try world.allGather(problem).first(where: { !$0.isEmpty }) {
        skipped.append((path, why))
        continue
      }
      let checkpoint = try opened.get()
      return ResumePoint(
        checkpoint: checkpoint,
        warnings: skipped.map { "\($0.path) is passed over: \($0.why)" }
          + (skipped.isEmpty ? [] : ["the run goes on from \(path), the one before"])
          + former(checkpoint))
    }
    guard let first = skipped.first else { return nil }
    throw CheckpointError.noneWhole(
      path: folder.checkpointsPath, count: skipped.count, reason: first.why)
  }

  private static func former(_ checkpoint: Checkpoint) -> [String] {
    checkpoint.isFormer
      ? [
        "\(checkpoint.path) is of an earlier release and has no hashes to check it by; the next checkpoint will have them"
      ] : []
  }
}
