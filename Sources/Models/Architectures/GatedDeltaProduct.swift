import Configuration
import Kernels

/// Gated DeltaProduct: several steps of the delta rule a token, after a decay per head from data.
///
/// - Source: arXiv 2502.10297; flash-linear-attention's layout.
struct GatedDeltaProduct: FlashMixer {
  typealias Layer = GatedDeltaProductMixer

  static let name = "gated_deltaproduct"
  static let className = "GatedDeltaProduct"
  static let card = ModelCard(
    "Gated DeltaProduct", recurrence: "(gated) delta rule, n steps a token",
    papers: ["2502.10297"])
  static let depth = 21
  static let keys: Set<String> = ["expand_k", "expand_v"]
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.gated_deltaproduct` section.
  struct Keys: ConfigurationSection {
    static let name = "model.gated_deltaproduct"
    static let documentation = "What only Gated DeltaProduct has."

    @Key("householder_steps", .model, from: 1, through: 16, "Steps of the delta rule a token.")
    var steps = 2

    @Key("forget_gate", .model, "Whether states decay, by a gate per head from data.")
    var forgets = true

    @Key("negative_eigenvalues", .model, "Whether steps reach 2 instead of 1: allow_neg_eigval.")
    var negativeEigenvalues = false

    init() {}
  }

  let shape: DeltaHeads
  /// Steps a token.
  let steps: Int
  let forgets, isGated, doublesBeta: Bool
  let taps: Int?

  init(_ section: ModelSection) {
    shape = DeltaHeads(section, expandKey: 0.75, expandValue: 2)
    let keys = section.subsections[Keys.self]
    (steps, forgets, doublesBeta) = (keys.steps, keys.forgets, keys.negativeEigenvalues)
    isGated = true
    taps = 4
  }

  init(_ keys: ModelKeys, dimension: Int) {
    shape = DeltaHeads(keys, headDimension: 256, heads: 6, expandValue: 2, sharesKeys: false)
    steps = keys.positive("num_householder", default: 1)
    if steps > 16 { keys.refuse("num_householder", "\(steps) steps a token are more than 16") }
    forgets = keys.boolean("use_forget_gate", default: false)
    doublesBeta = keys.boolean("allow_neg_eigval", default: false)
    isGated = keys.boolean("use_output_gate", default: true)
    taps = keys.convolutionTaps(default: true)
  }

  var configuration: [String: JSONValue] {
    var all = shape.configuration.merging([
      "num_householder": .integer(steps), "use_forget_gate": .bool(forgets),
      "allow_neg_eigval": .bool(doublesBeta), "use_output_gate": .bool(isGated),
      "use_short_conv": .bool(taps != nil), "conv_size": .integer(taps ?? 4),
    ]) { $1 }
    all["num_v_heads"] = nil
    return all
  }

  var problem: String? { shape.problem }
}
