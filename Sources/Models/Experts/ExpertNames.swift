/// How a layout calls the tensors of experts, behind the name of the layer.
struct ExpertNames: Sendable {
  /// The router.
  var router = "gate"
  /// Before an expert's number.
  var experts = "experts."
  var gate = "gate_proj"
  var up = "up_proj"
  var down = "down_proj"
  /// Before the projections of what all tokens take.
  var shared = "shared_expert."
  var sharedGate = "shared_expert_gate"
  var correction = "gate.e_score_correction_bias"
  /// Tensors of three extents that hold all experts: of each its gate, then what that gates, and what it ends in; nil where
  /// each expert has tensors of its own.
  var fused: (input: String, output: String)?
  /// Tensors of what all tokens take: its gate and what that gates in one, and what it ends in; nil where each has its own.
  var fusedShared: (input: String, output: String)?

  /// Those of Mixtral.
  static let mixtral = ExpertNames(gate: "w1", up: "w3", down: "w2")

  /// Those of Granite.
  static let granite = ExpertNames(
    router: "block_sparse_moe.router.layer", shared: "shared_mlp.",
    fused: ("block_sparse_moe.input_linear", "block_sparse_moe.output_linear"),
    fusedShared: ("input_linear", "output_linear"))
  /// Those of Kimi Linear.
  static let kimi = ExpertNames(gate: "w1", up: "w3", down: "w2", shared: "shared_experts.")
}
