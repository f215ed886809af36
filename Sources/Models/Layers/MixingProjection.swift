import Autodiff
import Kernels
import SequenceParallel
import Tensors

/// A projection of a mixer's input, a short convolution along time where there is one, and an activation.
struct MixingProjection {
  let linear: Linear
  /// Applies the activation, too; nil for no convolution.
  let convolution: Convolution?
  let activation: Activation

  /// `[N, D]` to `[N, C]`, for some readers.
  ///
  /// - Parameter isGate: Whether decays come of it, so that what the convolution reads stays fp32.
  func callAsFunction(
    _ x: Variable, tape: Tape, pass: SequencePass, isGate: Bool = false,
    for readers: Readers = .any
  ) throws -> Variable {
    if let convolution {
      return try convolution(
        linear(x, tape: tape, for: isGate ? .any : .products), tape: tape, pass: pass, for: readers)
    }
    let y = try linear(x, tape: tape, for: activation == .identity ? readers : .products)
    return tape.activation(activation, y, for: readers)
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
