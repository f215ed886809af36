import Configuration
import Kernels

/// What a mixture of experts is, apart from the width of the model.
struct ExpertSettings: Sendable, Equatable {
  let rule: RoutingRule
  /// Width of an expert; nil for that of the channel mixer in whose place they stand.
  let width: Int?
  /// Width of what all tokens take; nil for nothing.
  let sharedWidth: Int?
  /// Whether it has a gate.
  let hasSharedGate: Bool
  /// Whether the choice has a correction.
  let hasCorrection: Bool
  /// The weights of the losses for balance and of the router's z-loss; 0 for none.
  let balance, zLoss: Double
  /// How far the correction moves after a step towards equal use; 0 for not at all.
  let biasUpdate: Double

  init(
    _ rule: RoutingRule, width: Int? = nil, sharedWidth: Int? = nil, hasSharedGate: Bool = false,
    hasCorrection: Bool = false, balance: Double = 0, zLoss: Double = 0, biasUpdate: Double = 0
  ) {
    (self.rule, self.width, self.sharedWidth) = (rule, width, sharedWidth)
    (self.hasSharedGate, self.hasCorrection) = (hasSharedGate, hasCorrection || biasUpdate > 0)
    (self.balance, self.zLoss, self.biasUpdate) = (balance, zLoss, biasUpdate)
  }
}

extension ExpertSettings {
  /// What a run file says.
  init(_ keys: ExpertsSection) {
    self.init(
      RoutingRule(
        experts: keys.count, chosen: min(keys.active, keys.count), score: keys.score,
        renormalized: keys.renormalize),
      width: keys.width > 0 ? keys.width : nil,
      sharedWidth: keys.sharedWidth > 0 ? keys.sharedWidth : nil, hasSharedGate: keys.sharedGate,
      balance: keys.balance, zLoss: keys.zLoss, biasUpdate: keys.biasUpdate)
  }

  /// What a run file says of the place of channel mixers; nil where they stand there themselves.
  init?(_ section: ModelSection) {
    guard section.channels == .experts else { return nil }
    self.init(section.subsections[ExpertsSection.self])
  }

  /// What a run file says of experts beside which there is always a gated mixer for all tokens.
  ///
  /// - Parameters:
  ///   - usual: Its width where it is not said.
  ///   - hasGate: Whether it has a gate of its own.
  init(besideShared keys: ExpertsSection, width usual: Int, hasGate: Bool) {
    let own = ExpertSettings(keys)
    self.init(
      own.rule, width: own.width, sharedWidth: own.sharedWidth ?? usual, hasSharedGate: hasGate,
      balance: own.balance)
  }

  /// What a `config.json` of one of this program's own layouts says; nil where it has no experts.
  init?(_ keys: ModelKeys) {
    let count = keys.integer("num_experts", default: 0)
    guard count > 0 else {
      if count < 0 { keys.refuse("num_experts", "\(count) is negative") }
      return nil
    }
    let score = keys.choice(
      "scoring_func", default: "softmax", of: RoutingRule.Score.allCases.map { ($0.rawValue, $0) })
    self.init(
      keys.routing(
        experts: keys.experts("num_experts"),
        chosen: keys.positive("num_experts_per_tok", default: 2), score: score,
        renormalized: keys.boolean("norm_topk_prob", default: true)),
      width: keys.optionalPositive("moe_intermediate_size"),
      sharedWidth: keys.optionalPositive("shared_expert_intermediate_size"),
      hasSharedGate: keys.boolean("shared_expert_gate", default: false),
      balance: keys.share("router_aux_loss_coef"), zLoss: keys.share("router_z_loss_coef"),
      biasUpdate: keys.share(Self.biasUpdateKey))
  }

  /// The key of a `config.json` that says how far the correction moves after a step: this program's own.
  static let biasUpdateKey = "router_bias_update_speed"

  /// Its keys of the `config.json` of one of this program's own layouts.
  var configuration: [String: JSONValue] {
    var keys: [String: JSONValue] = [
      "num_experts": .integer(rule.experts), "num_experts_per_tok": .integer(rule.chosen),
      "scoring_func": .string(rule.score.rawValue), "norm_topk_prob": .bool(rule.isRenormalized),
      "moe_intermediate_size": .optional(width),
      "shared_expert_intermediate_size": .optional(sharedWidth),
      "shared_expert_gate": .bool(hasSharedGate), "router_aux_loss_coef": .number(balance),
      "router_z_loss_coef": .number(zLoss),
    ]
    if biasUpdate > 0 { keys[Self.biasUpdateKey] = .number(biasUpdate) }
    return keys
  }
}

extension ModelKeys {
  /// A rule of routing, whose numbers fit each other.
  func routing(
    experts: Int, chosen: Int, score: RoutingRule.Score = .softmax, renormalized: Bool,
    scale: Double = 1
  ) -> RoutingRule {
    if chosen > experts {
      refuse(
        "num_experts_per_tok", "each token takes \(chosen) experts, and there are \(experts)")
    }
    return RoutingRule(
      experts: experts, chosen: min(chosen, experts), score: score, renormalized: renormalized,
      scale: Float(scale))
  }

  /// The weight of a term of the loss, 0 where it is absent.
  func share(_ key: String, default usual: Double = 0) -> Double {
    let found = number(key, default: usual)
    if found >= 0 { return found }
    refuse(key, "\(found) is negative")
    return 0
  }
}
