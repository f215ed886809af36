import Configuration
import Kernels

/// How a family of pretrained Transformers has experts: the keys of its `config.json`, and its tensors' names.
enum ExpertLayout {
  /// In every layer, `block_sparse_moe`.
  case mixtral
  /// Beside a gated mixer for all tokens, in layers that `decoder_sparse_step` and `mlp_only_layers` leave.
  case qwen2
  /// The same without what all tokens take.
  case qwen3
  /// In every layer, beside a mixer for all tokens without a gate of its own.
  case granite

  /// What stands before the names of a layer's tensors.
  var prefix: String {
    switch self {
    case .mixtral: "block_sparse_moe."
    case .qwen2, .qwen3: "mlp."
    case .granite: ""
    }
  }

  var names: ExpertNames {
    switch self {
    case .mixtral: .mixtral
    case .qwen2, .qwen3: ExpertNames()
    case .granite: .granite
    }
  }

  /// Keys of `model.experts` that its `config.json` has no place for.
  var unread: Set<String> {
    switch self {
    case .mixtral: ["score", "z_loss", "width", "shared_width", "shared_gate", "renormalize"]
    case .qwen2: ["score", "z_loss", "shared_gate"]
    case .qwen3: ["score", "z_loss", "shared_width", "shared_gate"]
    case .granite: ["score", "z_loss", "width", "shared_gate", "renormalize"]
    }
  }

  /// A problem for each of them that a run file has.
  func problems(_ section: ModelSection, of family: String) -> [KeyProblem] {
    let given = section.subsections.changes[ExpertsSection.name] ?? [:]
    return given.keys.sorted().filter(unread.contains).map {
      KeyProblem(
        "model.experts.\($0)", message: "the experts of \(family) do not have it; remove it")
    }
  }
}

/// Which layers of a Transformer have experts, and what these are.
struct ExpertLayers {
  let layout: ExpertLayout
  let settings: ExpertSettings
  /// Of each layer, bottom up.
  let hasExperts: [Bool]
  /// The keys of `config.json` that say so.
  let configuration: [String: JSONValue]

  /// What a run file says: experts in all layers.
  ///
  /// - Parameter width: Of the channel mixer in whose place they stand.
  init(_ layout: ExpertLayout, _ keys: ExpertsSection, width: Int, depth: Int) {
    self.layout = layout
    settings =
      switch layout {
      case .qwen2: ExpertSettings(besideShared: keys, width: width, hasGate: true)
      case .granite: ExpertSettings(besideShared: keys, width: width, hasGate: false)
      case .mixtral, .qwen3: ExpertSettings(keys)
      }
    hasExperts = [Bool](repeating: true, count: depth)
    var written = Self.common(settings)
    switch layout {
    case .mixtral: written["num_local_experts"] = .integer(keys.count)
    case .granite:
      written["num_local_experts"] = .integer(keys.count)
      written["shared_intermediate_size"] = .optional(settings.sharedWidth)
    case .qwen2, .qwen3:
      written.merge([
        "num_experts": .integer(keys.count), "norm_topk_prob": .bool(keys.renormalize),
        "moe_intermediate_size": .integer(settings.width ?? width), "decoder_sparse_step": 1,
        "mlp_only_layers": [],
      ]) { $1 }
    }
    if layout == .qwen2 {
      written["shared_expert_intermediate_size"] = .optional(settings.sharedWidth)
    }
    configuration = written
  }

  /// What a `config.json` says.
  ///
  /// - Parameter width: `intermediate_size`.
  init(_ layout: ExpertLayout, _ keys: ModelKeys, width: Int, depth: Int) {
    self.layout = layout
    let asksForBalance = keys.boolean("output_router_logits", default: false)
    let coefficient = keys.share("router_aux_loss_coef", default: 0.001)
    let balance = asksForBalance ? coefficient : 0
    var written: [String: JSONValue] = [
      "output_router_logits": .bool(asksForBalance), "router_aux_loss_coef": .number(coefficient),
    ]
    guard layout != .granite else {
      let rule = keys.routing(
        experts: keys.positive("num_local_experts", default: 8),
        chosen: keys.positive("num_experts_per_tok", default: 2), renormalized: true)
      let shared = keys.positive("shared_intermediate_size", default: Self.usualShared)
      settings = ExpertSettings(rule, width: width, sharedWidth: shared, balance: balance)
      hasExperts = [Bool](repeating: true, count: depth)
      written["num_local_experts"] = .integer(rule.experts)
      written["num_experts_per_tok"] = .integer(rule.chosen)
      written["shared_intermediate_size"] = .integer(shared)
      configuration = written
      return
    }
    guard layout != .mixtral else {
      let jitter = keys.number("router_jitter_noise", default: 0)
      if jitter != 0 {
        keys.refuse(
          "router_jitter_noise", "\(jitter): noise of routers is not computed here, only 0")
      }
      let rule = keys.routing(
        experts: keys.positive("num_local_experts", default: 8),
        chosen: keys.positive("num_experts_per_tok", default: 2), renormalized: true)
      settings = ExpertSettings(rule, width: width, balance: balance)
      hasExperts = [Bool](repeating: true, count: depth)
      written["num_local_experts"] = .integer(rule.experts)
      written["num_experts_per_tok"] = .integer(rule.chosen)
      configuration = written
      return
    }
    let isQwen2 = layout == .qwen2
    // Newer files of Qwen3 call it as Mixtral does.
    let local = isQwen2 ? nil : keys.optionalPositive("num_local_experts")
    let count = keys.positive("num_experts", default: local ?? (isQwen2 ? 60 : 128))
    if let local, local != count {
      keys.refuse("num_local_experts", "\(local) is not num_experts, \(count); remove one of them")
    }
    let rule = keys.routing(
      experts: count, chosen: keys.positive("num_experts_per_tok", default: isQwen2 ? 4 : 8),
      renormalized: keys.boolean("norm_topk_prob", default: false))
    let shared =
      isQwen2 ? keys.positive("shared_expert_intermediate_size", default: 5632) : nil
    settings = ExpertSettings(
      rule, width: keys.positive("moe_intermediate_size", default: isQwen2 ? 1408 : 768),
      sharedWidth: shared, hasSharedGate: isQwen2, balance: balance)
    let step = keys.positive("decoder_sparse_step", default: 1)
    let without = keys.integers("mlp_only_layers") ?? []
    hasExperts = (0..<depth).map { !without.contains($0) && ($0 + 1) % step == 0 }
    written.merge([
      "num_experts": .integer(count), "num_experts_per_tok": .integer(rule.chosen),
      "norm_topk_prob": .bool(rule.isRenormalized),
      "moe_intermediate_size": .optional(settings.width),
      "decoder_sparse_step": .integer(step),
      "mlp_only_layers": .array(without.map { .integer($0) }),
    ]) { $1 }
    if let shared { written["shared_expert_intermediate_size"] = .integer(shared) }
    configuration = written
  }

  /// Granite's width of what all tokens take, where nothing is said.
  static let usualShared = 1024

  private static func common(_ settings: ExpertSettings) -> [String: JSONValue] {
    [
      "num_experts_per_tok": .integer(settings.rule.chosen),
      "output_router_logits": .bool(settings.balance > 0),
      "router_aux_loss_coef": .number(settings.balance),
    ]
  }
}
