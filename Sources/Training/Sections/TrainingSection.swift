import Configuration

/// The run file's `training` section: how much is trained, in what micro-batches.
package struct TrainingSection: ConfigurationSection, Equatable {
  /// Where a run begins.
  package enum Resume: Sendable, Equatable {
    /// At step 0.
    case none
    /// At the last complete checkpoint of this run, or step 0 where there is none.
    case auto
    /// At the checkpoint in a folder.
    case path(String)
  }

  /// Optimizer steps to run.
  package var steps: Int
  /// Sequences a step over the whole world.
  package var batch: Int
  /// Portions in which a step's batch is computed, one after another.
  package var accumulation: Int
  /// Seed of initial weights, data order and tasks.
  package var seed: Int
  /// Whether a block's activations are computed again in the backward pass instead of kept.
  package var recompute: Bool
  /// Where the run begins.
  package var resume: Resume
  /// Name of the run; nil to make one from the time.
  package var name: String?

  /// The keys of `training`.
  package static let schema = SectionSchema(
    "training", "How much is trained, in what micro-batches.",
    [
      .integer("steps", 300, from: 1, unit: "steps", "Optimizer steps to run."),
      .integer("batch", 32, from: 1, unit: "sequences", "Batch of a step over the whole world."),
      .integer("accumulation", 1, from: 1, "Portions in which a step's batch is computed."),
      .integer("seed", 1, "Seed of initial weights, data order and tasks."),
      .boolean("recompute", false, "Keep no activations inside blocks; compute them again."),
      .string("resume", "none", "none, auto (the run's last checkpoint), or a checkpoint folder."),
      .string("name", nil, "Name of the run; null = made from the time."),
    ])

  /// Reads the section.
  package init(_ values: SectionValues) {
    steps = values.integer("steps")
    batch = values.integer("batch")
    accumulation = values.integer("accumulation")
    seed = values.integer("seed")
    recompute = values.boolean("recompute")
    resume =
      switch values.string("resume") {
      case "none": .none
      case "auto": .auto
      case let path: .path(path)
      }
    name = values.optionalString("name")
  }

  /// Portions that do not divide the batch, a name that is no folder's.
  package var problems: [KeyProblem] {
    var found: [KeyProblem] = []
    if batch % accumulation != 0 {
      found.append(
        KeyProblem(
          "accumulation", "batch",
          message: "\(accumulation) micro-batches do not divide a batch of \(batch) sequences; "
            + "choose a divisor of \(batch)"))
    }
    if let name, name.isEmpty || name.contains("/") || name.hasPrefix(".") {
      found.append(
        KeyProblem(
          "name",
          message: "'\(name)' cannot name a folder; use letters, digits, dashes and underscores"))
    }
    return found
  }
}
