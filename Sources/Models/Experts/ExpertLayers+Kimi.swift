import Configuration
import Kernels

/// Experts as Kimi Linear has them: sigmoid scores whose choice a correction helps, groups, and experts that all tokens take.
extension ExpertLayers {
  /// What a run file says: experts in all layers but the lowest.
  ///
  /// - Parameter width: Of the channel mixer in whose place they stand.
  init(kimi keys: ExpertsSection, _ own: KimiLinear.Keys, width: Int, depth: Int) {
    let width = keys.width > 0 ? keys.width : width
    let isPossible =
      Self.groupProblem(
        experts: keys.count, chosen: keys.active, groups: own.groups, best: own.bestGroups) == nil
    let rule = RoutingRule(
      experts: keys.count, chosen: min(keys.active, keys.count), score: .sigmoid,
      renormalized: keys.renormalize, scale: Float(own.scale), groups: isPossible ? own.groups : 1,
      bestGroups: isPossible ? own.bestGroups : 1)
    self.init(
      kimi: rule, width: width, shared: own.sharedExperts, biasUpdate: keys.biasUpdate,
      layers: (0..<depth).map { $0 >= own.denseLayers }, Words())
  }

  /// What a `config.json` says.
  ///
  /// - Parameter width: `intermediate_size`.
  init(kimi keys: ModelKeys, width: Int, depth: Int) {
    let words = Words(keys)
    keys.require("moe_router_activation_func", "sigmoid")
    let frequency = keys.integer("moe_layer_freq", default: 1)
    if frequency != 1 {
      keys.refuse("moe_layer_freq", "\(frequency) is not computed here, only 1")
    }
    let count = keys.experts(words.experts, default: 256)
    let chosen = keys.positive(words.chosen, default: 8)
    let (groups, best) = (
      keys.positive(words.groups, default: 1), keys.positive("topk_group", default: 1)
    )
    let problem = Self.groupProblem(experts: count, chosen: chosen, groups: groups, best: best)
    if let problem { keys.refuse(words.groups, problem) }
    let rule = RoutingRule(
      experts: count, chosen: min(chosen, count), score: .sigmoid,
      renormalized: keys.boolean(words.renormalizes, default: true),
      scale: Float(keys.positiveNumber("routed_scaling_factor", default: 2.446)),
      groups: problem == nil ? groups : 1, bestGroups: problem == nil ? best : 1)
    let shared = keys.integer(words.shared, default: 1)
    if shared < 0 { keys.refuse(words.shared, "\(shared) is negative") }
    self.init(
      kimi: rule, width: keys.positive("moe_intermediate_size", default: 1024),
      shared: max(shared, 0), biasUpdate: keys.share(ExpertSettings.biasUpdateKey),
      layers: Self.kimiLayers(keys, depth: depth), words)
  }

  private init(
    kimi rule: RoutingRule, width: Int, shared: Int, biasUpdate: Double, layers: [Bool],
    _ words: Words
  ) {
    var written: [String: JSONValue] = [
      words.experts: .integer(rule.experts), words.chosen: .integer(rule.chosen),
      words.groups: .integer(rule.groups), "topk_group": .integer(rule.bestGroups),
      words.renormalizes: .bool(rule.isRenormalized), words.shared: .integer(shared),
      "routed_scaling_factor": .shortest(rule.scale), "moe_intermediate_size": .integer(width),
      "moe_router_activation_func": "sigmoid", "moe_layer_freq": 1,
      "mlp_layer_types": .array(layers.map { $0 ? "sparse" : "dense" }),
    ]
    let dense = layers.prefix { !$0 }.count
    // What cannot be said by a number is said by the list alone.
    if layers.dropFirst(dense).allSatisfy({ $0 }) {
      written["first_k_dense_replace"] = .integer(dense)
    }
    // Other programs do not know it, and leave it.
    if biasUpdate > 0 { written[ExpertSettings.biasUpdateKey] = .number(biasUpdate) }
    self.init(
      .kimi,
      ExpertSettings(
        rule, width: width, sharedWidth: shared > 0 ? shared * width : nil, hasCorrection: true,
        biasUpdate: biasUpdate),
      in: layers, configuration: written)
  }

  /// What its makers call things, or where a file has them the words of transformers.
  private struct Words {
    var experts = "num_experts"
    var chosen = "num_experts_per_token"
    var groups = "num_expert_group"
    var shared = "num_shared_experts"
    var renormalizes = "moe_renormalize"

    init() {}

    init(_ keys: ModelKeys) {
      experts = keys.spelling(experts, or: "num_local_experts")
      chosen = keys.spelling(chosen, or: "num_experts_per_tok")
      groups = keys.spelling(groups, or: "n_group")
      shared = keys.spelling(shared, or: "n_shared_experts")
      renormalizes = keys.spelling(renormalizes, or: "norm_topk_prob")
    }
  }

  /// Which layers have experts.
  private static func kimiLayers(_ keys: ModelKeys, depth: Int) -> [Bool] {
    let dense = keys.integer("first_k_dense_replace", default: 1)
    let usual = (0..<depth).map { $0 >= dense }
    let (sparse, plain) = ("sparse", "dense")
    guard let types = keys.strings("mlp_layer_types") else { return usual }
    for type in Set(types).sorted() where type != sparse && type != plain {
      keys.refuse(
        "mlp_layer_types", "\"\(type)\" is not computed here, only \"\(plain)\", \"\(sparse)\"")
    }
    guard types.count == depth else {
      keys.refuse(
        "mlp_layer_types", "it names \(types.count) layers of \(depth); name every layer")
      return usual
    }
    return types.map { $0 == sparse }
  }

  /// Why tokens cannot choose so; nil where they can.
  ///
  /// - Parameters:
  ///   - groups: Groups that experts are dealt into, of which each token's are in the `best`.
  static func groupProblem(experts: Int, chosen: Int, groups: Int, best: Int) -> String? {
    if experts % groups != 0 {
      return "\(experts) experts cannot be dealt into \(groups) groups; choose a divisor"
    }
    if best > groups {
      return "a token's experts cannot be in \(best) of \(groups) groups; choose at most \(groups)"
    }
    let size = experts / groups
    if groups > 1, size < 2 {
      return "a group of one expert has no two best, by which groups are compared; use fewer groups"
    }
    return chosen > best * size
      ? "a token takes \(chosen) experts, and \(best) of \(groups) groups have \(best * size)" : nil
  }
}
