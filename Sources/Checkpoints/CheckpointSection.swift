import Configuration

/// How weights are stored in a model's folder.
package enum WeightFormat: String, KeyChoice {
  /// As they are.
  case fp32
  /// Rounded to bfloat16, half the bytes.
  case bf16

  /// As a safetensors file names it.
  var type: ElementType { self == .bf16 ? .bfloat16 : .float32 }

  /// As a `config.json` names it.
  var name: String { self == .bf16 ? "bfloat16" : "float32" }
}

/// The run file's `checkpoint` section: when a run saves what it needs to go on.
package struct CheckpointSection: ConfigurationSection, Equatable {
  package static let name = "checkpoint"
  package static let documentation = "When a run saves what it needs to go on."

  @Key(
    "every", .course, unit: "steps",
    "Steps between checkpoints; 0 = by time alone. The end of a run has one too.")
  package var every = 0

  @Key(
    "minutes", .course, from: 0, unit: "minutes",
    "Minutes after which a step is followed by one, whatever every says; 0 = never.")
  package var minutes = 10.0

  @Key("keep", .course, "Latest checkpoints that are kept; 0 = all.")
  package var keep = 2

  @Key(
    "keep_every", .course, unit: "steps", "Checkpoints of such steps are kept for good; 0 = none.")
  package var keepEvery = 0

  @Key(
    "background", .layout,
    "Write them beside the run, from a copy in memory; false = while the run stands still.")
  package var background = true

  @Key(
    "dtype", .course,
    "How the run's final weights are stored; bf16 halves the folder, and checkpoints stay fp32.")
  package var dtype = WeightFormat.fp32

  package init() {}
}
