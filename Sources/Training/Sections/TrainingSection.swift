import Configuration
import Tensors

/// The run file's `training` section: how much is trained, in what micro-batches.
package struct TrainingSection: ConfigurationSection, Equatable {
  /// Where a run begins.
  package enum Resume: KeyText {
    /// At step 0.
    case none
    /// At the last complete checkpoint of this run, or step 0 where there is none.
    case auto
    /// At the checkpoint in a folder.
    case path(String)

    package init(text: String) {
      self =
        switch text {
        case "none": .none
        case "auto": .auto
        default: .path(text)
        }
    }

    package var text: String {
      switch self {
      case .none: "none"
      case .auto: "auto"
      case .path(let path): path
      }
    }
  }

  package static let name = "training"
  package static let documentation = "How much is trained, in what micro-batches."

  @Key("steps", .course, from: 1, unit: "steps", "Optimizer steps to run.")
  package var steps = 300

  @Key("batch", .data, from: 1, unit: "sequences", "Batch of a step over the whole world.")
  package var batch = 32

  @Key("accumulation", .layout, from: 1, "Micro-batches in which a step's batch is computed.")
  package var accumulation = 1

  @Key("seed", .data, "Seed of initial weights, data order and tasks.")
  package var seed = 1

  @Key("recompute", .layout, "Keep no activations inside blocks; compute them again.")
  package var recompute = false

  @Key(
    "precision", .course,
    "fp32, or bf16: operands of products are rounded; weights, sums and states stay fp32.")
  package var precision = Precision.fp32

  @Key(
    "products", .course,
    "Library of products: known = what was faster on this kind of CPU; auto measures at the start."
  )
  package var products = ProductsSetting.known

  @Key(
    "z_loss", .course, from: 0,
    "Weight of (log Σ exp(logits))², the z-loss, beside the loss; 0 = none.")
  package var zLoss = 0.0

  @Key("resume", .layout, "none, auto (the run's last checkpoint), or a checkpoint folder.")
  package var resume = Resume.none

  @Key("name", .layout, "Name of the run; null = made from the time.")
  package var name: String?

  package init() {}

  /// Micro-batches that do not divide the batch, a name that is no folder's.
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
