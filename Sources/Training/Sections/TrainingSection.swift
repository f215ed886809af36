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

  /// What is done about a step that stands out of those before it.
  package enum SpikeAction: String, KeyChoice {
    /// Nothing; nobody looks.
    case off
    /// It is told of.
    case warn
    /// Its update is left out.
    case skip
    /// Weights and the optimizer's state go back to the last checkpoint, while steps and data go on.
    case rewind
  }

  package static let name = "training"
  package static let documentation = "How much is trained, in what micro-batches."

  @Key("steps", .course, from: 1, unit: "steps", "Optimizer steps to run.")
  package var steps = 300

  @Key("batch", .data, from: 1, unit: "sequences", "Batch of a step over the whole world.")
  package var batch = 32

  @Key("accumulation", .layout, from: 1, "Micro-batches in which a step's batch is computed.")
  package var accumulation = 1

  @Key(
    "max_minutes", .course, from: 0, unit: "minutes",
    "Minutes after which the run stops with a checkpoint and exit code 75; 0 = never.")
  package var maxMinutes = 0.0

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

  @Key(
    "max_skips", .course, from: 1, unit: "steps",
    "Steps in a row whose update may be left out, as no finite loss or gradient, before the run ends."
  )
  package var maxSkips = 5

  @Key(
    "on_spike", .course,
    "What a step does whose loss or gradient norm stands out: off, warn, skip (no update), rewind (to the last checkpoint)."
  )
  package var onSpike = SpikeAction.off

  @Key(
    "spike_window", .course, from: 8, unit: "steps", "Steps before it that a spike stands out of.")
  package var spikeWindow = 128

  @Key(
    "spike_threshold", .course, above: 0,
    "Robust z-score, by median and median deviation, above which a value is a spike.")
  package var spikeThreshold = 8.0

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
