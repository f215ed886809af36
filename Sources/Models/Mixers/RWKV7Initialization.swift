import Foundation
import Tensors

/// How a layer of RWKV-7 begins: by its place among the layers, and by channel.
///
/// Concretely, with `ρ = i / (L − 1)`, `τ = 1 − i / L`, `c = n / D`, `lin = n / (D − 1) − ½` and
/// `z = ±(2 (n mod K) / (K − 1) − 1)²` of layer i of L and channel n.
///
/// - Source: RWKV-7 (arXiv 2503.14456); flash-linear-attention's numbers.
struct RWKV7Initialization {
  let layer, depth, dimension, headWidth: Int

  init(_ family: RWKV7, at place: MixerPlace) {
    (layer, depth) = (place.layer, place.depth)
    (dimension, headWidth) = (place.dimension, family.headWidth)
  }

  private var rho: Double { depth > 1 ? Double(layer) / Double(depth - 1) : 0 }
  private var tau: Double { 1 - Double(layer) / Double(depth) }

  /// From 0 to 1 over the channels.
  private func place(_ n: Int) -> Double { Double(n) / Double(max(dimension - 1, 1)) }
  private func linear(_ n: Int) -> Double { place(n) - 0.5 }
  /// From −1 to 1 over a head's channels, squared with its sign.
  private func zigzag(_ n: Int) -> Double {
    let x = 2 * Double(n % headWidth) / Double(max(headWidth - 1, 1)) - 1
    return x * x.magnitude
  }

  /// `1 − c^{τ · power}`.
  func share(power: Double) -> ParameterInitialization {
    let (exponent, width) = (tau * power, Double(dimension))
    return .indexed { 1 - pow(Double($0) / width, exponent) }
  }

  /// `1 − c^{τ⁴}`, of the channel mixer.
  var channelShare: ParameterInitialization { share(power: tau * tau * tau) }

  /// `0.71 − 0.1 lin`.
  var removalKey: ParameterInitialization { .indexed { 0.71 - 0.1 * linear($0) } }

  /// `−6 + 6 (n / (D − 1))^{1 + ρ^0.3} + 0.5 + 2.5 z`.
  var decayBias: ParameterInitialization {
    let exponent = 1 + pow(rho, 0.3)
    return .indexed { -5.5 + 6 * pow(place($0), exponent) + 2.5 * zigzag($0) }
  }

  /// `−0.19 + 0.3 z + 0.4 lin`.
  var rateBias: ParameterInitialization {
    .indexed { -0.19 + 0.3 * zigzag($0) + 0.4 * linear($0) }
  }

  /// `0.73 − 0.4 lin`.
  var valueBias: ParameterInitialization { .indexed { 0.73 - 0.4 * linear($0) } }

  /// `((i + 1) / L)^0.7`.
  var outputNorm: ParameterInitialization {
    .constant(pow(Double(layer + 1) / Double(depth), 0.7))
  }
}
