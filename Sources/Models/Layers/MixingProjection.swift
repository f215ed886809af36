import Autodiff
import Kernels
import SequenceParallel

/// A projection of a mixer's input, a short convolution along time where there is one, and an activation.
struct MixingProjection {
  let linear: Linear
  /// Applies the activation, too; nil for no convolution.
  let convolution: Convolution?
  let activation: Activation

  /// `[N, D]` to `[N, C]`.
  func callAsFunction(_ x: Variable, tape: Tape, pass: SequencePass) throws -> Variable {
    let isPointwise = convolution == nil && activation != .identity
    let y = try linear(x, tape: tape, for: isPointwise ? .products : .any)
    return try convolution?(y, tape: tape, pass: pass) ?? tape.activation(activation, y)
  }
}

extension ModelBuilder {
  /// A projection `[output, input]` named `<letter>_proj`, and where `taps` is not nil a convolution named
  /// `<letter>_conv1d`.
  ///
  /// - Parameters:
  ///   - index: The number of the projection's halo in its layer.
  ///   - bias: Whether the convolution has a bias.
  mutating func mixingProjection(
    _ letter: Character, _ index: Int, at place: MixerPlace, output: Int, taps: Int?,
    bias: Bool = false, activation: Activation
  ) -> MixingProjection {
    let linear = linear("\(place.name)\(letter)_proj", output, place.dimension)
    let convolution = taps.map {
      self.convolution(
        "\(place.name)\(letter)_conv1d", channels: output, taps: $0, bias: bias,
        activation: activation, slot: CarrySlot(layer: place.layer, .halo(index)))
    }
    return MixingProjection(linear: linear, convolution: convolution, activation: activation)
  }
}
