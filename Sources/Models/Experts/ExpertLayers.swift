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
  /// As Qwen2's, with defaults of its own.
  case qwen3Next
  /// Chosen by sigmoid scores and a correction, in groups; in layers that `mlp_layer_types` or `first_k_dense_replace` leave.
  case kimi

  /// What stands before the names of a layer's tensors.
  var prefix: String {
    switch self {
    case .mixtral, .kimi: "block_sparse_moe."
    case .qwen2, .qwen3, .qwen3Next: "mlp."
    case .granite: ""
    }
  }

  var names: ExpertNames {
    switch self {
    case .mixtral: .mixtral
    case .qwen2, .qwen3, .qwen3Next: ExpertNames()
    case .granite: .granite
    case .kimi: .kimi
    }
  }

  /// Keys of `model.experts` that its `config.json` has no place for.
  var unread: Set<String> {
    switch self {
    case .mixtral:
      ["score", "z_loss", "width", "shared_width", "shared_gate", "renormalize", "bias_update"]
    case .qwen2, .qwen3Next: ["score", "z_loss", "shared_gate", "bias_update"]
    case .qwen3: ["score", "z_loss", "shared_width", "shared_gate", "bias_update"]
    case .granite: ["score", "z_loss", "width", "shared_gate", "renormalize", "bias_update"]
    case .kimi: ["score", "z_loss", "balance", "shared_width", "shared_gate"]
    }
  }

  /// Whether there is a gated mixer for all tokens beside the experts, whatever a run file says.
  fileprivate var hasShared: Bool { self == .qwen2 || self == .qwen3Next }

  /// What a `config.json` means where it does not say it.
  fileprivate var usual: (experts: Int, chosen: Int, width: Int, shared: Int, normalizes: Bool) {
    switch self {
    case .mixtral: (8, 2, 14336, 0, true)
    case .qwen2: (60, 4, 1408, 5632, false)
    case .qwen3: (128, 8, 768, 0, false)
    case .granite: (8, 2, 11008, ExpertLayers.usualShared, true)
    case .qwen3Next: (512, 10, 512, 512, true)
    case .kimi: (256, 8, 1024, 1024, true)
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
      case .qwen2, .qwen3Next:
        ExpertSettings(besideShared: keys, width: width, hasGate: true)
      case .granite: ExpertSettings(besideShared: keys, width: width, hasGate: false)
      case .mixtral, .qwen3, .kimi: ExpertSettings(keys)
      }
    hasExperts = [Bool](repeating: true, count: depth)
    var written = Self.common(settings)
    switch layout {
    case .mixtral: written["num_local_experts"] = .integer(keys.count)
    case .granite:
      written["num_local_experts"] = .integer(keys.count)
      written["shared_intermediate_size"] = .optional(settings.sharedWidth)
    case .kimi: preconditionFailure("Kimi's experts are described by more keys")
    case .qwen2, .qwen3, .qwen3Next:
      written.merge([
        "num_experts": .integer(keys.count), "norm_topk_prob": .bool(keys.renormalize),
        "moe_intermediate_size": .integer(settings.width ?? width), "decoder_sparse_step": 1,
        "mlp_only_layers": [],
      ]) { $1 }
    }
    if layout.hasShared {
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
        experts: keys.experts("num_local_experts", default: 8),
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
        experts: keys.experts("num_local_experts", default: 8),
        chosen: keys.positive("num_experts_per_tok", default: 2), renormalized: true)
      settings = ExpertSettings(rule, width: width, balance: balance)
      hasExperts = [Bool](repeating: true, count: depth)
      written["num_local_experts"] = .integer(rule.experts)
      written["num_experts_per_tok"] = .integer(rule.chosen)
      configuration = written
      return
    }
    let usual = layout.usual
    // Newer files of Qwen3 call it as Mixtral does.
    let local = layout == .qwen3 ? keys.optionalPositive("num_local_experts") : nil
    let count = keys.experts("num_experts", default: local ?? usual.experts)
    if let local, local != count {
      keys.refuse("num_local_experts", "\(local) is not num_experts, \(count); remove one of them")
    }
    let rule = keys.routing(
      experts: count, chosen: keys.positive("num_experts_per_tok", default: usual.chosen),
      renormalized: keys.boolean("norm_topk_prob", default: usual.normalizes))
    let shared =
      layout.hasShared
      ? keys.positive("shared_expert_intermediate_size", default: usual.shared) : nil
    settings = ExpertSettings(
      rule, width: keys.positive("moe_intermediate_size", default: usual.width),
      sharedWidth: shared, hasSharedGate: shared != nil, balance: balance)
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

  init(
    _ layout: ExpertLayout, _ settings: ExpertSettings, in layers: [Bool],
    configuration: [String: JSONValue]
  ) {
    (self.layout, self.settings, hasExperts) = (layout, settings, layers)
    self.configuration = configuration
  }

  private static func common(_ settings: ExpertSettings) -> [String: JSONValue] {
    [
      "num_experts_per_tok": .integer(settings.rule.chosen),
      "output_router_logits": .bool(settings.balance > 0),
      "router_aux_loss_coef": .number(settings.balance),
    ]
  }
}
