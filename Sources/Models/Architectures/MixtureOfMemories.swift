import Configuration
import Kernels

/// MoM: tokens are routed to memories, each a recurrence over the tokens that go there.
///
/// - Source: arXiv 2502.13685; flash-linear-attention's layout, which knows memories by the gated delta rule alone.
struct MixtureOfMemories: FlashMixer {
  typealias Layer = MemoriesMixer

  /// What each memory is.
  enum Recurrence: String, KeyChoice {
    /// The gated delta rule.
    case gatedDelta = "gated_delta"
    /// GLA's, whose decay is a vector from data.
    case gla
    /// Linear attention's, without decay.
    case linear

    /// What `mom_backend` in a `config.json` calls it; the other project refuses all but the first.
    var backend: String {
      switch self {
      case .gatedDelta: "gated_deltanet"
      case .gla: "gla"
      case .linear: "linear_attn"
      }
    }
  }

  static let name = "mom"
  static let className = "Mom"
  static let card = ModelCard(
    "Mixture of Memories (MoM)", recurrence: "gated delta rule a memory", papers: ["2502.13685"])
  static let keys: Set<String> = ["expand_k", "expand_v"]
  /// No token is dropped, and all layers are balanced together.
  static let ignoredKeys: Set<String> = ["capacity", "use_layer_wise_balance"]
  static let hasRouters = true
  static var section: (any ConfigurationSection.Type)? { Keys.self }

  /// The run file's `model.mom` section.
  struct Keys: ConfigurationSection {
    static let name = "model.mom"
    static let documentation = "Memories that tokens are routed to."

    @Key("memories", .model, from: 1, "How many memories a layer has beside the shared one.")
    var memories = 4

    @Key("active", .model, from: 1, "How many of them each token goes to.")
    var active = 2

    @Key("shared", .model, "Whether there is a memory beside them that all tokens go to.")
    var shared = true

    @Key("one_projection", .model, "Whether all memories project keys, values and gates alike.")
    var oneProjection = false

    @Key("output_gate", .model, "Whether outputs are gated.")
    var outputGate = true

    @Key("recurrence", .model, "What a memory is; others than gated_delta are this program's own.")
    var recurrence = Recurrence.gatedDelta

    @Key("balance", .course, from: 0, "Weight of the loss for equal use of the memories.")
    var balance = 0.01

    init() {}
  }

  let shape: DeltaHeads
  /// How tokens choose memories.
  let rule: RoutingRule
  let hasShared, hasCommonProjections, isGated: Bool
  let recurrence: Recurrence
  let taps: Int
  /// Weight of the loss for balance.
  let balance: Double

  static func problems(_ section: ModelSection) -> [KeyProblem] {
    let keys = section.subsections[Keys.self]
    guard keys.active <= keys.memories else {
      return [
        KeyProblem(
          "model.mom.active", "model.mom.memories",
          message:
            "a token cannot go to \(keys.active) of \(keys.memories) memories; choose at most "
            + "\(keys.memories)")
      ]
    }
    return sizeProblems(section)
  }

  init(_ section: ModelSection) {
    let keys = section.subsections[Keys.self]
    shape = DeltaHeads(section, expandKey: 1, expandValue: 1)
    rule = RoutingRule(experts: keys.memories, chosen: min(keys.active, keys.memories))
    (hasShared, hasCommonProjections, isGated) = (
      keys.shared, keys.oneProjection, keys.outputGate
    )
    (recurrence, taps, balance) = (keys.recurrence, 4, keys.balance)
  }

  init(_ keys: ModelKeys, dimension: Int) {
    shape = DeltaHeads(keys, headDimension: 256, heads: 4, expandValue: 1, sharesKeys: false)
    let (memories, active) = (
      keys.experts("num_memories", default: 4), keys.positive("topk", default: 2)
    )
    if active > memories {
      keys.refuse("topk", "each token goes to \(active) memories, and there are \(memories)")
    }
    rule = RoutingRule(experts: memories, chosen: min(active, memories))
    hasShared = keys.boolean("shared_mem", default: true)
    hasCommonProjections = keys.boolean("single_kv_proj", default: false)
    isGated = keys.boolean("use_output_gate", default: true)
    recurrence = keys.choice(
      "mom_backend", default: Recurrence.gatedDelta.backend,
      of: Recurrence.allCases.map { ($0.backend, $0) })
    let taps = keys.convolutionTaps(default: true)
    if taps == nil {
      keys.refuse("use_short_conv", "memories without short convolutions are not computed here")
    }
    self.taps = taps ?? 4
    balance = keys.share("aux_loss_scale", default: 0.01)
  }

  var configuration: [String: JSONValue] {
    var keys = shape.configuration
    // It has as many heads of values as of keys.
    keys["num_v_heads"] = nil
    keys.merge([
      "num_memories": .integer(rule.experts), "topk": .integer(rule.chosen),
      "shared_mem": .bool(hasShared), "single_kv_proj": .bool(hasCommonProjections),
      "use_output_gate": .bool(isGated), "use_short_conv": true, "conv_size": .integer(taps),
      "aux_loss_scale": .number(balance), "mom_backend": .string(recurrence.backend),
    ]) { $1 }
    return keys
  }

  var problem: String? { shape.problem }
}
