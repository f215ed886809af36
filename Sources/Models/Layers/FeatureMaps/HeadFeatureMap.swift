import Autodiff
import Configuration
import Kernels
import Tensors

/// A map of a head's queries or keys to features, whose products are the weights of linear attention; as run files and
/// `config.json` name it.
///
/// Families whose features are a function of each number have a `FeatureMap` instead.
enum HeadFeatures: String, KeyChoice {
  /// `(L₁x) ⊙ (L₂x)`.
  case elementwise_product
  /// `softmax([2Lx, −2Lx])`.
  case hedgehog
  /// `relu(Lx)`.
  case t2r
  /// Products of rectified neighbours.
  case dpfp
  /// `elu(x) + 1`.
  case elu
  case relu, identity

  /// Channels of the features of `width` numbers.
  func count(_ width: Int) -> Int {
    switch self {
    case .elementwise_product, .t2r, .elu, .relu, .identity: width
    case .hedgehog: 2 * width
    case .dpfp: DPFP.count(width)
    }
  }
}

/// A feature map with its weights, which all heads share.
///
/// - Source: elu: arXiv 2006.16236; DPFP: 2102.11174; T2R: 2103.13076; Hedgehog: 2402.04347.
struct HeadFeatureMap {
  let features: HeadFeatures
  /// Numbers of a head.
  let width: Int
  /// Projections `[width, width]` of a head: two, one or none.
  let layers: [Linear]

  /// How its argument may be stored.
  var readers: Readers { features == .dpfp ? .any : .products }

  /// `[N, H·width]` to `[N, H·features.count(width)]`.
  func callAsFunction(_ x: Variable, tape: Tape) throws -> Variable {
    let (rows, heads) = (x.shape.rows, x.shape.columns / width)
    func layer(_ index: Int) throws -> Variable {
      let y = try layers[index](tape.reshaped(x, [rows * heads, width]), tape: tape)
      return tape.reshaped(y, [rows, heads * width])
    }
    return switch features {
    case .identity: x
    case .relu: tape.relu(x, for: .products)
    case .elu: tape.eluPlusOne(x, for: .products)
    case .dpfp: tape.dpfp(x, width: width)
    case .t2r: tape.relu(try layer(0), for: .products)
    case .hedgehog: tape.mirroredSoftmax(try layer(0), width: width, for: .products)
    case .elementwise_product: tape.product(try layer(0), try layer(1), for: .products)
    }
  }
}

extension ModelBuilder {
  /// The weights of a feature map, named `name.layer`, or `name.layer1` and `name.layer2`.
  ///
  /// - Parameters:
  ///   - width: Numbers of a head.
  ///   - asIdentity: Whether its projections begin as the identity, with which a linearised Transformer begins, instead of
  ///     drawn weights.
  mutating func featureMap(
    _ features: HeadFeatures, _ name: String, width: Int, asIdentity: Bool = false
  ) -> HeadFeatureMap {
    let names: [String]
    switch features {
    case .elementwise_product: names = ["layer1", "layer2"]
    case .hedgehog, .t2r: names = ["layer"]
    case .dpfp, .elu, .relu, .identity: names = []
    }
    let layers = names.map { layer in
      let weight = parameter(
        "\(name).\(layer).weight", [width, width], role: .matrix,
        initialization: asIdentity
          ? .indexed { $0 % (width + 1) == 0 ? 1 : 0 } : .normal(deviation: deviation))
      let bias =
        features == .t2r
        ? nil
        : parameter(
          "\(name).\(layer).bias", [width], role: .bias, initialization: .constant(0))
      return Linear(weight: weight, bias: bias)
    }
    return HeadFeatureMap(features: features, width: width, layers: layers)
  }
}
