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

  /// Those of Mixtral.
  static let mixtral = ExpertNames(gate: "w1", up: "w3", down: "w2")
}
