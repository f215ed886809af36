import Configuration
import Kernels

/// Liger: no new weights; gates come from the pretrained keys, and half of each layer is attention in a window.
///
/// - Source: arXiv 2503.01496; the layout of its authors' code.
protocol Liger: LinearisedMethod where Keys: LigerKeys {
  static var recurrence: GatedHalves.Recurrence { get }
  var slots: Int { get }
  var window: Int { get }
  init(slots: Int, window: Int)
}

/// The keys of a run file's `model.liger_…` sections.
protocol LigerKeys: LinearisedKeys {
  var window: Int { get }
  /// Slots, or gates, of a head; nil for as many as a head has numbers.
  var poolSize: Int? { get }
}

extension LigerKeys {
  var poolSize: Int? { nil }
}

/// Tokens that the attention half sees, where nothing else is said.
private let usualWindow = 64

extension Liger {
  static var name: String { "liger_\(recurrence.rawValue)" }

  static func modelType(of base: PretrainedBase) -> String {
    switch base {
    case .llama: name
    case .mistral: "liger_mistral_\(recurrence.rawValue)"
    case .qwen2: "liger_qwen25_\(recurrence.rawValue)"
    case .qwen3: "liger_qwen3_\(recurrence.rawValue)"
    }
  }

  static func className(of base: PretrainedBase) -> String {
    let own = recurrence.rawValue.uppercased()
    switch base {
    case .llama: return "Liger\(own)"
    case .mistral: return "LigerMistral\(own)"
    case .qwen2: return "LigerQwen25\(own)"
    case .qwen3: return "LigerQwen3\(own)"
    }
  }

  static func makeCard(_ name: String, _ recurrence: String, papers: [String]) -> ModelCard {
    ModelCard(
      name, recurrence: recurrence + ", and attention in a window", papers: ["2503.01496"] + papers)
  }

  init(_ keys: Keys, heads: HeadSplit) {
    self.init(slots: keys.poolSize ?? heads.keyDimension, window: keys.window)
  }

  init(_ keys: ModelKeys, heads: HeadSplit) {
    for key in ["expand_k", "expand_v"] where keys.number(key, default: 1) != 1 {
      keys.refuse(
        key, "only 1 is computed here, as the Transformer's projections are of that width")
    }
    self.init(
      slots: keys.optionalPositive("pool_size") ?? heads.keyDimension,
      window: keys.positive("liger_window", default: usualWindow))
  }

  var configuration: [String: JSONValue] {
    var keys: [String: JSONValue] = ["expand_k": 1, "expand_v": 1, "pool_size": .integer(slots)]
    if window != usualWindow { keys["liger_window"] = .integer(window) }
    return keys
  }

  func problem(_ heads: HeadSplit) -> (key: String, reason: String)? {
    let d = heads.keyDimension
    if let problem = heads.tooWide { return ("num_attention_heads", problem) }
    if Self.recurrence != .gsa, slots != d {
      return (
        "pool_size",
        "\(slots) gates a head, and \(Self.name) has one for each of its \(d) numbers; give \(d)"
      )
    }
    return slots > 256 ? ("pool_size", "\(slots) slots, and 256 is the most") : nil
  }

  func substitute(
    _ settings: AttentionSettings, heads: HeadSplit, at place: MixerPlace,
    _ builder: inout ModelBuilder
  ) -> any AttentionSubstitute {
    GatedHalves(Self.recurrence, heads: heads, slots: slots, window: window, layer: place.layer)
  }
}

/// Liger with gated linear attention.
struct LigerGLA: Liger {
  static let recurrence = GatedHalves.Recurrence.gla
  static let card = makeCard("Liger (GLA)", "vector decay", papers: ["2312.06635"])
  let slots, window: Int

  /// The run file's `model.liger_gla` section.
  struct Keys: LigerKeys {
    static let name = "model.liger_gla"
    static let documentation = "What only Liger has, with gated linear attention."

    @Key("base", .model, "Family of the Transformer that it is made of.")
    var base = PretrainedBase.llama

    @Key("window", .model, from: 1, unit: "tokens", "Tokens that the attention half sees.")
    var window = 64

    init() {}
  }
}

/// Liger with HGRN2.
struct LigerHGRN2: Liger {
  static let recurrence = GatedHalves.Recurrence.hgrn2
  static let card = makeCard("Liger (HGRN2)", "vector decay", papers: ["2404.07904"])
  let slots, window: Int

  /// The run file's `model.liger_hgrn2` section.
  struct Keys: LigerKeys {
    static let name = "model.liger_hgrn2"
    static let documentation = "What only Liger has, with HGRN2."

    @Key("base", .model, "Family of the Transformer that it is made of.")
    var base = PretrainedBase.llama

    @Key("window", .model, from: 1, unit: "tokens", "Tokens that the attention half sees.")
    var window = 64

    init() {}
  }
}

/// Liger with gated slot attention.
struct LigerGSA: Liger {
  static let recurrence = GatedHalves.Recurrence.gsa
  static let card = makeCard("Liger (GSA)", "gated slots", papers: ["2409.07146"])
  let slots, window: Int

  /// The run file's `model.liger_gsa` section.
  struct Keys: LigerKeys {
    static let name = "model.liger_gsa"
    static let documentation = "What only Liger has, with gated slot attention."

    @Key("base", .model, "Family of the Transformer that it is made of.")
    var base = PretrainedBase.llama

    @Key("window", .model, from: 1, unit: "tokens", "Tokens that the attention half sees.")
    var window = 64

    @Key("pool_size", .model, from: 1, through: 256, "Slots of a head; null = numbers of a head.")
    var poolSize: Int?

    init() {}
  }
}
