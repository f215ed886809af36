import Checkpoints
import Configuration
import Corpora

/// In what a run that goes on from a checkpoint is another than the one that wrote it.
struct ResumeChanges {
  /// What would make it another run: keys of the model and of the data, and files that hold other data; a line each.
  private(set) var ofRun: [(key: String, line: String)] = []
  /// What changes its course, a line each.
  private(set) var ofCourse: [String] = []

  /// Whether the model would be another.
  private(set) var isOfModel = false

  /// Why the run file in the checkpoint cannot be read, so that nothing could be compared; nil where it can.
  private(set) var unread: String?

  /// Compares a run with a checkpoint.
  ///
  /// Files that lie elsewhere and hold the same are the same; layout is not compared.
  init(
    _ configuration: RunConfiguration, _ fingerprint: DataFingerprint, from checkpoint: Checkpoint
  ) {
    let state = checkpoint.state
    guard !checkpoint.isFormer else {
      let seed = configuration.training.seed
      if seed != state.seed {
        ofRun.append(("training.seed", "training.seed \(state.seed) → \(seed)"))
      }
      return
    }
    let earlier: RunConfiguration
    do {
      earlier = try RunConfiguration.of(checkpoint)
    } catch {
      unread =
        "the run file in it, of version \(state.version), is none of this release "
        + "(\(String("\(error)".prefix { !$0.isNewline })))"
      return
    }
    let before = DataFingerprint(state.data)
    for change in configuration.document.changes(from: earlier.document) {
      switch change.effect {
      case .layout: break
      case .course: ofCourse.append(change.description)
      case .model, .data:
        if change.isOfPaths, before.files.contains(where: { $0.key == change.key }),
          fingerprint.differences(from: before, of: { $0 == change.key }).isEmpty
        {
          ofCourse.append("\(change), which holds the same")
        } else {
          ofRun.append((change.key, change.description))
          if change.effect == .model { isOfModel = true }
        }
      }
    }
    for line in fingerprint.differences(
      from: before, of: { key in !ofRun.contains { $0.key == key } && key != "evaluation.path" })
    {
      ofRun.append((String(line.prefix { $0 != ":" }), line))
    }
  }

  /// Refuses another run, unless that is asked for.
  ///
  /// - Returns: What a user is to be told, a line each.
  /// - Throws: `ConfigurationError` that names every key, with both values; `CheckpointError` where nothing could be compared.
  func accepted(
    by configuration: RunConfiguration, anyway accepts: Bool, from checkpoint: Checkpoint
  ) throws -> [String] {
    if let unread {
      guard accepts else {
        throw CheckpointError.unsupported(
          path: checkpoint.path,
          reason:
            "\(unread), and without it nobody knows whether the run is the same; take the release that wrote it, or give "
            + "a run file that says the same and --accept-changes")
      }
      return ["\(unread): whether the run is the same was not compared"]
    }
    guard ofRun.isEmpty || accepts else {
      throw configuration.error(
        ofRun.map { key, line in
          KeyProblem(
            key,
            message:
              "\(line.dropFirst(key.count).drop { ": ".contains($0) }): it would be another run than that of "
              + "\(checkpoint.path); leave it as it was, or give --accept-changes")
        })
    }
    return ofRun.map(\.line) + ofCourse
  }
}

extension ConfigurationDocument.Change {
  /// Whether both values are paths, with the same weights where there are any.
  fileprivate var isOfPaths: Bool {
    switch (before, after) {
    case (.weightedPaths(let before), .weightedPaths(let after)):
      before.map(\.weight) == after.map(\.weight)
    case (.string, .string), (.list, .list): true
    default: false
    }
  }
}
