import Checkpoints
import Configuration
import Files
import Tokenizers

/// Run files of runs that go on: they lie in checkpoints.
extension RunConfiguration {
  /// The configuration of a run that goes on, which its checkpoint holds.
  ///
  /// - Parameters:
  ///   - path: The run's folder, to go on from its latest checkpoint, or a checkpoint.
  ///   - file: A run file with what is to be different.
  ///   - overrides: Values from the command line, the last to hold. One that names the run begins a new one from the checkpoint.
  /// - Throws: `CheckpointError` where there is no checkpoint, or one without a configuration; all that is wrong with
  ///   the result.
  package static func resuming(
    _ path: String, file: String? = nil, overrides: [Override] = []
  ) throws -> RunConfiguration {
    let place = try ResumePlace(path)
    var document = try document(of: place.checkpoint, without: Self.naming)
    var own = [Override("training.resume=\(place.isRun ? "auto" : place.checkpoint.path)")]
    if let folder = place.folder { own.append(Override("log.directory=\(folder)")) }
    if overrides.contains(where: { Self.naming.contains($0.key) }) {
      own = [Override("training.resume=\(place.checkpoint.path)")]
    }
    document.apply(own)
    if let file { document.read(file: file) }
    document.apply(overrides)
    return try RunConfiguration(document)
  }

  /// The configuration that a checkpoint was written with.
  package static func of(_ checkpoint: Checkpoint) throws -> RunConfiguration {
    try RunConfiguration(try document(of: checkpoint))
  }

  /// The keys that say where a run writes, and from where it goes on.
  private static let naming = ["log.directory", "training.name", "training.resume"]

  /// A run that is to go on, and that nobody names.
  var problemsOfResuming: [KeyProblem] {
    guard training.resume == .auto, training.name == nil, log.directory == nil else { return [] }
    return [
      KeyProblem(
        "training.resume", "training.name",
        message: "auto goes on with the run of this name, and none is named; give training.name or "
          + "log.directory, or --resume with the run's folder")
    ]
  }

  /// The run with the tokenizer that lies in its checkpoint, where the one that it names is gone.
  func findingTokenizer(in checkpoint: Checkpoint?) -> RunConfiguration {
    guard let checkpoint, !checkpoint.isFormer, let tokenizer = data.tokenizer,
      tokenizer != ByteTokenizer.name, !FileSystem.exists(tokenizer)
    else { return self }
    var run = self
    run.data.tokenizer = checkpoint.path
    return run
  }

  private static func document(
    of checkpoint: Checkpoint, without dropped: [String] = []
  ) throws(CheckpointError) -> ConfigurationDocument {
    guard !checkpoint.isFormer else {
      throw .unsupported(
        path: checkpoint.path,
        reason: "it is of an earlier release and holds no run file; give that, with "
          + "--training.resume=\(checkpoint.path), and the next checkpoint will hold it")
    }
    var document = ConfigurationDocument(schemas: schemas)
    document.read(
      json: checkpoint.state.configuration,
      keys: checkpoint.state.given.filter { !dropped.contains($0) },
      named: "\(checkpoint.path)/state.json")
    return document
  }
}

/// What a user means by the path of a run, or of one of its checkpoints.
package struct ResumePlace {
  /// The checkpoint that is named, or the latest of the run.
  package let checkpoint: Checkpoint
  /// Whether a run was named, and not a checkpoint.
  package let isRun: Bool
  /// The run's folder; nil for a checkpoint that lies in none.
  package let folder: String?

  /// - Throws: `CheckpointError` where there is no checkpoint.
  package init(_ path: String) throws(CheckpointError) {
    var path = path
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    if Checkpoint.isOne(path) {
      checkpoint = try Checkpoint(path: path)
      isRun = false
      let parent = FileSystem.folder(of: path)
      folder =
        FileSystem.name(of: parent) == FileSystem.name(of: RunFolder(path: "").checkpointsPath)
        ? FileSystem.folder(of: parent) : nil
      return
    }
    let items = try RunFolder(path: path).checkpoints.items()
    guard let last = items.last else { throw .noCheckpoint(path: path) }
    let opened = items.last { (try? $0.checkpoint.get()) != nil } ?? last
    checkpoint = try opened.checkpoint.get()
    (isRun, folder) = (true, path)
  }
}
