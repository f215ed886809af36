/// Which projections of a model get an adapter, and of what rank: what PEFT calls a LoRA configuration.
///
/// A projection is named by its module's path, the name of its weight in the model's folder without `.weight`, such as
/// `model.layers.0.self_attn.q_proj`.
///
/// - Source: Hu et al., "LoRA" (arXiv 2106.09685); names and matching as in PEFT 0.21.
package struct LoRA: Sendable, Equatable {
  /// How modules are named.
  package enum Targets: Sendable, Equatable {
    /// Ends of paths, at a point, or whole ones.
    case suffixes([String])
    /// A regular expression that fits the whole path.
    case pattern(String)
    /// All projections but the head.
    case allLinear

    /// Whether a path is meant.
    func contains(_ module: String) -> Bool {
      switch self {
      case .suffixes(let suffixes): suffixes.contains { Self.ends(module, with: $0) }
      case .pattern(let pattern): LoRA.matches(module, whole: pattern)
      case .allLinear: true
      }
    }

    static func ends(_ module: String, with suffix: String) -> Bool {
      module == suffix || module.hasSuffix("." + suffix)
    }
  }

  /// Which modules get an adapter.
  package var targets: Targets
  /// Which of them get none after all.
  package var excluded: Targets?
  /// r, where no pattern says otherwise.
  package var rank: Int
  /// α, where no pattern says otherwise.
  package var alpha: Double
  /// Whether adapters are multiplied by `α/√r` instead of `α/r`.
  package var usesRootOfRank = false
  /// Ranks of modules whose path ends as a regular expression says, in the order in which they are tried.
  package var ranks: [(pattern: String, rank: Int)] = []
  /// α of such modules.
  package var alphas: [(pattern: String, alpha: Double)] = []
  /// Layers whose modules are meant by suffixes; nil for all.
  package var layers: [Int]?
  /// What stands before a layer's number, as regular expressions; empty for anything.
  package var layerNames: [String] = []
  /// Ends of the paths of modules that are trained as a whole.
  package var modulesToSave: [String] = []
  /// Whether each suffix must fit something, and not only one of them.
  package var needsEach = true

  package init(_ targets: Targets, rank: Int, alpha: Double) {
    (self.targets, self.rank, self.alpha) = (targets, rank, alpha)
  }

  package static func == (a: LoRA, b: LoRA) -> Bool {
    a.targets == b.targets && a.excluded == b.excluded && a.rank == b.rank && a.alpha == b.alpha
      && a.usesRootOfRank == b.usesRootOfRank && a.ranks.elementsEqual(b.ranks, by: ==)
      && a.alphas.elementsEqual(b.alphas, by: ==) && a.layers == b.layers
      && a.layerNames == b.layerNames && a.modulesToSave == b.modulesToSave
  }

  /// Whether a module is to have an adapter.
  func adapts(_ module: String) -> Bool {
    guard targets.contains(module), excluded?.contains(module) != true,
      !modulesToSave.contains(where: { Self.matches(module, whole: "(.*\\.)?\($0)(\\..*)?") })
    else { return false }
    guard case .suffixes(let suffixes) = targets, !suffixes.contains(module), let layers else {
      return true
    }
    return layer(of: module).map(layers.contains) ?? false
  }

  /// Whether a tensor of the model's folder belongs to a module that is trained as a whole.
  func saves(_ tensor: String) -> Bool {
    modulesToSave.contains { module in
      tensor.hasSuffix(module) || tensor.contains(module + ".")
    }
  }

  /// r of a module.
  func rank(of module: String) -> Int {
    ranks.first { Self.ends(module, with: $0.pattern) }?.rank ?? rank
  }

  /// What a module's adapter is multiplied by.
  func scale(of module: String) -> Float {
    let alpha = alphas.first { Self.ends(module, with: $0.pattern) }?.alpha ?? alpha
    let rank = Double(rank(of: module))
    return Float(alpha / (usesRootOfRank ? rank.squareRoot() : rank))
  }

  /// The number of the layer that a module belongs to: the first part of its path that is a number and has two before it.
  private func layer(of module: String) -> Int? {
    for name in layerNames.isEmpty ? ["[^.]*"] : layerNames {
      let start = layerNames.isEmpty ? ".*?\\." : "(?:|.*?\\.)"
      if let regex = try? Regex("\(start)(?:\(name))\\.([0-9]+)\\..*"),
        let match = try? regex.wholeMatch(in: module), let digits = match.output.last?.substring
      {
        return Int(digits)
      }
    }
    return nil
  }

  /// Whether a path's end, at a point, fits a regular expression, as keys of PEFT's patterns do.
  private static func ends(_ module: String, with pattern: String) -> Bool {
    matches(module, whole: "(?:.*\\.)?(?:\(pattern))")
  }

  private static func matches(_ module: String, whole pattern: String) -> Bool {
    guard let regex = try? Regex(pattern) else { return false }
    return (try? regex.wholeMatch(in: module)) != nil
  }

  /// Whether a text is a regular expression that can be read.
  package static func isPattern(_ text: String) -> Bool { (try? Regex(text)) != nil }
}
