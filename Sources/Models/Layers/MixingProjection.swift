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
    guard let taps else { return activation(y, tape: tape) }
    if case .silu = activation {
      return try tape.shortConvolution(
        y, weight: taps, activation: .silu, slot: slot, pass: pass)
    }
    let convolved = try tape.shortConvolution(
      y, weight: taps, activation: .none, slot: slot, pass: pass)
    return activation(convolved, tape: tape)
  }
}

extension ModelBuilder {
  /// A projection `[output, input]` named `<letter>_proj`, and where `taps` is not nil a convolution named
  /// `<letter>_conv1d`.
  ///
  /// - Parameters:
  ///   - index: The number of the projection's halo in its layer.
  ///   - name: What both names begin with.
  mutating func mixingProjection(
    _ letter: Character, index: Int, layer: Int, name: String, output: Int, input: Int, taps: Int?,
    activation: Activation
  ) -> MixingProjection {
    MixingProjection(
      linear: linear("\(name)\(letter)_proj", output, input),
      taps: taps.map {
        parameter(
          "\(name)\(letter)_conv1d.weight", [output, 1, $0], role: .matrix,
          initialization: .normal(deviation: deviation))
      },
      activation: activation, slot: CarrySlot(layer: layer, .halo(index)))
  }
}
