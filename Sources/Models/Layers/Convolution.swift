import Autodiff
import Kernels
import SequenceParallel
import Tensors

/// A short causal convolution of every channel along time, and an activation.
///
/// Where a file convolves several projections together, such as x, B and C of Mamba-2, it is one convolution of their
/// concatenation, `[N, Σ C_i]`, with one halo; `Tape.columns` takes it apart again.
struct Convolution {
  /// Shape `[C, 1, W]`.
  let taps: Parameter
  /// Shape `[C]`, or nil.
  let bias: Parameter?
  let activation: Activation
  /// Where its halo crosses seams.
  let slot: CarrySlot

  /// `[N, C]` to `[N, C]`, for some readers.
  func callAsFunction(
    _ x: Variable, tape: Tape, pass: SequencePass, for readers: Readers = .any
  ) throws -> Variable {
    let isFused = ShortConvolution.activations.contains(activation)
    let y = try tape.shortConvolution(
      x, weight: taps, bias: bias, activation: isFused ? activation : .identity,
      for: isFused ? readers : .products, slot: slot, pass: pass)
    return isFused ? y : tape.activation(activation, y, for: readers)
  }
}

extension ModelBuilder {
  /// A convolution of `channels` channels, named `name.weight` and `name.bias`.
  ///
  /// - Parameter slot: A layer's halo of its own.
  mutating func convolution(
    _ name: String, channels: Int, taps: Int, bias: Bool = false, activation: Activation,
    slot: CarrySlot
  ) -> Convolution {
    Convolution(
      taps: parameter(
        name + ".weight", [channels, 1, taps], role: .matrix,
        initialization: .normal(deviation: deviation)),
      bias: bias
        ? parameter(name + ".bias", [channels], role: .bias, initialization: .constant(0)) : nil,
      activation: activation, slot: slot)
  }

  /// Convolutions whose taps the file fuses along the channels, without biases; each has a halo of its own.
  ///
  /// - Parameters:
  ///   - name: The fused tensor's name, without `.weight`.
  ///   - parts: Each convolution's own name and channels, in the file's order.
  mutating func convolutions(
    _ name: String, parts: [(name: String, channels: Int)], taps: Int, activation: Activation,
    layer: Int
  ) -> [Convolution] {
    let weights = parts.map {
      part(
        "\(name).\($0.name).weight", [$0.channels, 1, taps], role: .matrix,
        initialization: .normal(deviation: deviation))
    }
    fuse(weights, into: name + ".weight", [parts.reduce(0) { $0 + $1.channels }, 1, taps])
    return weights.enumerated().map { index, weight in
      Convolution(
        taps: weight, bias: nil, activation: activation,
        slot: CarrySlot(layer: layer, .halo(index)))
    }
  }
}
