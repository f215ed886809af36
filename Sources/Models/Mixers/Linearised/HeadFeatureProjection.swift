import Autodiff
import Kernels
import Tensors

/// A map of queries or keys to positive features, learned for each query head where it has a weight.
///
/// Concretely: `φ(x W_h + b_h)`, or `φ(x + x W_h + b_h)` with a skip, or `φ(x)` without a weight.
struct HeadFeatureProjection: Sendable {
  let features: PositiveFeatures
  /// Shape `[H, d, f]`; nil for no projection.
  let weight: Parameter?
  /// Shape `[1, H, 1, 1]`: a number a head; nil for none.
  let bias: Parameter?
  let skips: Bool
  /// f: numbers of a head that features are made of.
  let width: Int

  /// Features of a head.
  var count: Int { features.count(width) }

  /// `[N, heads·d]` to `[N, H·count]`, or to as many heads as there are where there is no weight.
  func callAsFunction(_ x: Variable, tape: Tape) -> Variable {
    let u =
      weight.map { tape.headProjection(x, weight: $0, bias: bias, skips: skips) } ?? x
    return tape.positiveFeatures(u, features, width: width, for: .products)
  }
}

/// How a layer's feature maps are made.
struct FeatureProjectionSettings: Sendable, Equatable {
  var features: PositiveFeatures
  /// f; nil for as many as a head has.
  var width: Int?
  var hasBias = false
  var skips = false
  /// Whether projections begin as the identity, or as nothing where there is a skip, instead of drawn weights.
  var beginsAsIdentity = false

  /// Whether there is a projection.
  var isLearned: Bool { features != .eluPlusOne }

  /// f of heads of `d` numbers.
  func width(_ d: Int) -> Int { isLearned ? width ?? d : d }

  /// Why it does not fit heads of `d` numbers; nil where it does.
  func problem(_ d: Int) -> String? {
    guard isLearned, width(d) != d, skips || beginsAsIdentity else { return nil }
    return "features of \(width(d)) numbers are no identity of heads of \(d); use as many"
  }
}

extension ModelBuilder {
  /// A feature map whose tensors are `name.layer` and `name.bias`.
  mutating func featureProjection(
    _ settings: FeatureProjectionSettings, _ name: String, heads: HeadSplit
  ) -> HeadFeatureProjection {
    let (H, d) = (heads.heads, heads.keyDimension)
    let f = settings.width(d)
    guard settings.isLearned else {
      return HeadFeatureProjection(
        features: settings.features, weight: nil, bias: nil, skips: false, width: f)
    }
    // He's uniform draw, as the authors' code has it: the fan of a [H, d, f] tensor is d · f.
    let most = (6 / Double(d * f)).squareRoot()
    let drawn = ParameterInitialization.drawn { _, uniform in most * (2 * uniform - 1) }
    let identity = ParameterInitialization.indexed { $0 / f % d == $0 % f ? 1 : 0 }
    let initialization: ParameterInitialization =
      !settings.beginsAsIdentity ? drawn : settings.skips ? .constant(0) : identity
    let weight = parameter(
      name + ".layer", [H, d, f], role: .matrix, initialization: initialization)
    return HeadFeatureProjection(
      features: settings.features, weight: weight,
      bias: settings.hasBias
        ? parameter(name + ".bias", [1, H, 1, 1], role: .bias, initialization: .constant(0)) : nil,
      skips: settings.skips, width: f)
  }
}
