import Configuration

/// Where the norms of a model's blocks stand.
package struct NormPlacement: Sendable, Equatable {
  /// As run files and `config.json` name it.
  package enum Kind: String, KeyChoice {
    /// Before each layer, in all blocks.
    case pre
    /// After each layer and its residual, in all blocks.
    case post
    /// After in the first blocks, before in those above: Mix-LN.
    ///
    /// Source: Li, Yin and Liu, "Mix-LN" (arXiv 2412.13795).
    case mix
  }

  /// Mix-LN's share of blocks with norms after the layer, by the paper.
  static let usualShare = 0.25

  let kind: Kind
  /// Of `mix`, the share of blocks, from the first, whose norms come after.
  let share: Double

  /// What a run file says.
  init(_ section: ModelSection) { (kind, share) = (section.norm, section.normShare) }

  /// What a `config.json` says; as those of other programs say nothing, `pre`.
  init(_ keys: ModelKeys) {
    kind = keys.choice(
      "norm_placement", default: "pre", of: Kind.allCases.map { ($0.rawValue, $0) })
    share = keys.number("norm_share", default: Self.usualShare)
    if !(0...1).contains(share) {
      keys.refuse("norm_share", "\(share) is not a share, from 0 to 1")
    }
  }

  /// Its keys of `config.json`: none where norms stand as other programs have them.
  var configuration: [String: JSONValue] {
    switch kind {
    case .pre: [:]
    case .post: ["norm_placement": "post"]
    case .mix: ["norm_placement": "mix", "norm_share": .number(share)]
    }
  }

  /// The norms around a layer of a block, from 0.
  func around(_ norm: any Normalization, block: Int, depth: Int) -> Block.Norms {
    let isPost =
      switch kind {
      case .pre: false
      case .post: true
      case .mix: block < Int(share * Double(depth))
      }
    return isPost ? .post(norm) : .pre(norm)
  }
}
