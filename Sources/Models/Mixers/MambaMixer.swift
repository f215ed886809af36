import Autodiff
import Foundation
import Kernels
import SequenceParallel
import Tensors

/// Mamba's token mixer: a selective scan, `N` states a channel, whose steps and projections come from data.
///
/// Concretely: `u, z = W_in x`; `u ← silu(conv u)`; `δ, B, C = W_x u`; `dt = softplus(W_dt δ + b)`;
/// `h_t = e^{−e^{A_log} dt_t} h_{t−1} + dt_t u_t B_t`, `y = C h + D u`, then `W_out(y ⊙ silu(z))`.
///
/// - Source: arXiv 2312.00752.
struct MambaMixer: FlashLayer {
  let layer: Int
  let settings: MambaSettings
  let input, gate: Linear
  let convolution: Convolution
  let stepRank, written, read: Linear
  let step: Linear
  /// The bias of the steps and the skip's factors, `[I]`; the logarithms of the rates of decay, `[I, N]`.
  let stepBias, skip, logRates: Parameter
  let output: Linear

  /// Builds a layer of Mamba or of Samba.
  init(_ settings: MambaSettings, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (name, inner, states) = (place.name, settings.inner, settings.states)
    self.settings = settings
    layer = place.layer
    let projections = builder.fused(
      name + "in_proj", parts: [("u", inner), ("z", inner)], input: place.dimension,
      bias: settings.hasBias)
    (input, gate) = (projections[0], projections[1])
    convolution = builder.convolution(
      name + "conv1d", channels: inner, taps: settings.taps, bias: settings.hasConvolutionBias,
      activation: .silu, slot: CarrySlot(layer: layer, .halo(0)))
    let ofData = builder.fused(
      name + "x_proj", parts: [("dt", settings.rank), ("B", states), ("C", states)], input: inner,
      bias: false)
    (stepRank, written, read) = (ofData[0], ofData[1], ofData[2])
    let bound = 1 / Double(settings.rank).squareRoot()
    step = builder.linear(
      name + "dt_proj", inner, settings.rank, initialization: .drawn { bound * (2 * $1 - 1) })
    stepBias = builder.parameter(
      name + "dt_proj.bias", [inner], role: .bias,
      initialization: .drawn { SoftplusGate.initialBias($1) })
    logRates = builder.parameter(
      name + "A_log", [inner, states], role: .bias,
      initialization: .indexed { log(Double(1 + $0 % states)) })
    skip = builder.parameter(name + "D", [inner], role: .bias, initialization: .constant(1))
    output = builder.linear(name + "out_proj", place.dimension, inner, bias: settings.hasBias)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; u z dt y [N, I]; b c [N, states].
    let u = try convolution(
      input(x, tape: tape, for: .products), tape: tape, pass: pass, for: .products)
    let z = try gate(x, tape: tape, for: .products)
    let dt = try tape.stepSize(
      step(stepRank(u, tape: tape), tape: tape), bias: stepBias, limits: 0...(.infinity),
      isOfChannels: true)
    let y = try tape.selectiveScan(
      u, steps: dt, b: written(u, tape: tape), c: read(u, tape: tape), logRates: logRates,
      skip: skip, slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    return try output(tape.swiGLU(gate: z, y, for: .products), adding: residual, tape: tape)
  }

  var recurrences: [RecurrenceSize] {
    [.elementwise(states: settings.inner * settings.states, operations: 6)]
  }
}
