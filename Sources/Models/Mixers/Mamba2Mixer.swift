import Autodiff
import Foundation
import Kernels
import SequenceParallel
import Tensors

/// Mamba-2's token mixer (SSD): a scalar decay from data for each head, whose step also scales what is written.
///
/// Concretely: `z, x, B, C, δ = W_in u`, the middle three through one convolution; `s = clamp(softplus(δ + b))`,
/// `S_t = e^{−e^A s_t} S_{t−1} + B_tᵀ (s_t x_t)`, `y = C S + D ⊙ x`, then `W_out(rms(y ⊙ silu(z)) ⊙ w)`. Heads of
/// a group share `B` and `C`, and each group has a norm of its own.
///
/// - Source: arXiv 2405.21060.
struct Mamba2Mixer: FlashLayer {
  typealias Family = Mamba2

  /// Where the gate stands.
  enum Gating: Equatable {
    /// `rms(y ⊙ silu(z)) ⊙ w`.
    case beforeNorm
    /// `rms(y) ⊙ w ⊙ silu(z)`.
    case afterNorm
    /// `y ⊙ silu(z)`, without a norm.
    case withoutNorm
  }

  let layer: Int
  let size: Mamba2Size
  let gate, mixed, step: Linear
  let convolution: Convolution
  let limits: ClosedRange<Float>
  /// The logarithm of each head's rate of decay, the bias of its step, `[H]`; the skip's factors, `[H]` or `[H·V]`.
  let rate, stepBias, skip: Parameter
  let kernel: DiagonalRecurrence
  let gating: Gating
  /// `[I]`, or nil.
  let norm: Parameter?
  let epsilon: Float
  let output: Linear

  init(_ family: Mamba2, at place: MixerPlace, _ builder: inout ModelBuilder) {
    self.init(family.settings, at: place, &builder)
  }

  /// Builds a layer of Mamba-2 or of a hybrid.
  init(_ settings: Mamba2Settings, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (name, size) = (place.name, settings.size)
    self.size = size
    layer = place.layer
    let projections = builder.fused(
      name + "in_proj",
      parts: [("z", size.inner), ("xBC", size.mixed), ("dt", size.heads)],
      input: place.dimension, bias: settings.hasBias)
    (gate, mixed, step) = (projections[0], projections[1], projections[2])
    convolution = builder.convolution(
      name + "conv1d", channels: size.mixed, taps: settings.taps,
      bias: settings.hasConvolutionBias,
      activation: .silu, slot: CarrySlot(layer: layer, .halo(0)))
    limits = Float(settings.limits.lowerBound)...Float(settings.limits.upperBound)
    rate = builder.parameter(
      name + "A_log", [size.heads], role: .bias,
      initialization: settings.beginsEven
        ? .indexed { log(1 + Double($0)) } : .drawn { log(1 + 15 * $1) })
    skip = builder.parameter(
      name + "D", [settings.skipsChannels ? size.inner : size.heads], role: .bias,
      initialization: .constant(1))
    stepBias = builder.parameter(
      name + "dt_bias", [size.heads], role: .bias,
      initialization: settings.beginsEven
        ? .constant(1) : .drawn { SoftplusGate.initialBias($1) })
    kernel = DiagonalRecurrence(
      .scalar, keyDimension: size.stateSize, valueDimension: HeadSplit.part(of: size.headWidth))
    gating = settings.gating
    epsilon = place.epsilon
    norm =
      gating == .withoutNorm
      ? nil
      : builder.parameter(
        name + "norm.weight", [size.inner], role: .norm, initialization: .constant(1))
    // Kaiming's bound for a fan-in of I, over the root of the number of layers.
    let bound = 1 / (Double(size.inner) * Double(place.depth)).squareRoot()
    output = builder.linear(
      name + "out_proj", place.dimension, size.inner, bias: settings.hasBias,
      initialization: settings.beginsEven ? nil : .drawn { bound * (2 * $1 - 1) })
  }

  func callAsFunction(
    _ u: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: u [N, D]; z x y [N, H·V]; k q [N, G·K]; s g [N, H].
    let (inner, keys) = (size.inner, size.groups * size.stateSize)
    let z = try gate(u, tape: tape, for: .products)
    let all = try convolution(
      mixed(u, tape: tape, for: .products), tape: tape, pass: pass, for: .products)
    let x = tape.columns(all, 0..<inner, for: .products)
    let k = tape.columns(all, inner..<inner + keys, for: .products)
    let q = tape.columns(all, inner + keys..<inner + 2 * keys, for: .products)
    let s = try tape.stepSize(step(u, tape: tape), bias: stepBias, limits: limits)
    let g = tape.decay(ofSteps: s, rate: rate)
    let o = try tape.recurrence(
      kernel, RecurrenceInputs(q: q, k: k, v: tape.headProduct(x, s, for: .products), g: g),
      slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    // A norm reads fp32; a gate does not need it.
    let y = tape.headScale(x, skip, adding: o, for: gating == .afterNorm ? .any : .products)
    return try output(gated(y, by: z, tape: tape), adding: residual, tape: tape)
  }

  private func gated(_ y: Variable, by z: Variable, tape: Tape) -> Variable {
    switch gating {
    case .beforeNorm: normalized(tape.swiGLU(gate: z, y), tape: tape)
    case .afterNorm: tape.swiGLU(gate: z, normalized(y, tape: tape), for: .products)
    case .withoutNorm: tape.swiGLU(gate: z, y, for: .products)
    }
  }

  /// Each group's norm, which a projection or a gate reads.
  private func normalized(_ y: Variable, tape: Tape) -> Variable {
    guard let norm else { return y }
    if size.groups == 1 { return tape.rmsNorm(y, weight: norm, epsilon: epsilon, for: .products) }
    return tape.headScale(
      tape.rmsNorm(y, width: size.inner / size.groups, epsilon: epsilon), norm)
  }

  var recurrences: [RecurrenceSize] {
    [
      RecurrenceSize(
        kernel, heads: size.heads, parts: size.headWidth / HeadSplit.part(of: size.headWidth))
    ]
  }
}
