import Autodiff
import Kernels
import SequenceParallel
import Tensors

/// A projection of a mixer's input, a short convolution along time where there is one, and an activation.
struct MixingProjection {
  let linear: Linear
  /// Taps, `[C, 1, W]`, or nil for no convolution.
  let taps: Parameter?
  let activation: Activation
  /// Where the convolution's halo crosses seams.
  let slot: CarrySlot

  /// `[N, D]` to `[N, C]`.
  func callAsFunction(_ x: Variable, tape: Tape, pass: SequencePass) throws -> Variable {
    let y = try linear(x, tape: tape)
    guard let taps else { return tape.activation(activation, y) }
    let isFused = ShortConvolution.activations.contains(activation)
    let convolved = try tape.shortConvolution(
      y, weight: taps, activation: isFused ? activation : .identity, slot: slot, pass: pass)
    return isFused ? convolved : tape.activation(activation, convolved)
  }
}

extension ModelBuilder {
  /// A projection `[output, input]` named `<letter>_proj`, and where `taps` is not nil a convolution named
  /// `<letter>_conv1d`.
  ///
  /// - Parameter index: The number of the projection's halo in its layer.
  mutating func mixingProjection(
    _ letter: Character, _ index: Int, at place: MixerPlace, output: Int, taps: Int?,
    activation: Activation
  ) -> MixingProjection {
    MixingProjection(
      linear: linear("\(place.name)\(letter)_proj", output, place.dimension),
      taps: taps.map {
        parameter(
          "\(place.name)\(letter)_conv1d.weight", [output, 1, $0], role: .matrix,
          initialization: .normal(deviation: deviation))
      },
      activation: activation, slot: CarrySlot(layer: place.layer, .halo(index)))
  }
}
