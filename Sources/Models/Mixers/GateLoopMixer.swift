import Autodiff
import Foundation
import Kernels
import SequenceParallel

/// GateLoop's token mixer: a linear recurrence whose decays are complex numbers from data.
///
/// Concretely: `S_t = diag(a_t) S_{t−1} + k_tᵀ v_t`, `a_t = σ(α_t) e^{iβ_t}`, `o_t = Re(q_t S_t)` with q, k, v real, α and β
/// projections with biases; `y = W_o(rms(o) ⊙ w ⊙ silu(x W_g))`. Only angles between tokens matter, so queries and
/// keys are turned by the running sum of β, and what is left is a vector decay over `2K` real channels.
///
/// - Source: arXiv 2311.01927, section 3.
struct GateLoopMixer: FlashLayer {
  let layer: Int
  let heads: HeadSplit
  let query, key, value: Linear
  let magnitude, angle: Linear
  let kernel: DiagonalRecurrence
  let norm: HeadNorm
  let output: Linear

  init(_ family: GateLoop, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (name, dimension) = (place.name, place.dimension)
    layer = place.layer
    let heads = family.heads
    self.heads = heads
    query = builder.linear(name + "q_proj", heads.keyWidth, dimension)
    key = builder.linear(name + "k_proj", heads.keyWidth, dimension)
    value = builder.linear(name + "v_proj", heads.valueWidth, dimension)
    magnitude = builder.linear(
      name + "a_proj", heads.keyWidth, dimension,
      initialBias: .drawn { Self.initialMagnitude($1) })
    angle = builder.linear(
      name + "b_proj", heads.keyWidth, dimension,
      initialBias: .indexed { Self.initialAngle($0 % heads.keyDimension, of: heads.keyDimension) })
    kernel = DiagonalRecurrence(
      .vector, keyDimension: 2 * heads.keyDimension, valueDimension: heads.partDimension)
    norm = builder.headNorm(
      "g_norm", at: place, heads: heads.heads, valueDimension: heads.valueDimension,
      isGated: true)
    output = builder.linear(name + "o_proj", dimension, heads.valueWidth)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; angles [N, H·K]; q k g [N, H·2K]; v o [N, H·V].
    let width = heads.keyDimension
    let angles = try tape.runningSum(
      angle(x, tape: tape), period: 2 * .pi, slot: CarrySlot(layer: layer, .state(1)), pass: pass)
    let q = try tape.turned(
      query(x, tape: tape, for: .products), by: angles, width: width, for: .products)
    let k = try tape.turned(
      key(x, tape: tape, for: .products), by: angles, width: width, for: .products)
    let g = try tape.logSigmoidGate(magnitude(x, tape: tape), divisor: 1)
    let o = try tape.recurrence(
      kernel,
      RecurrenceInputs(
        q: q, k: k, v: value(x, tape: tape, for: .products), g: tape.doubled(g, width: width)),
      slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    return try output(norm(o, input: x, tape: tape), adding: residual, tape: tape)
  }

  /// A magnitude that halves a state in 1 to 1000 tokens, evenly by the logarithm.
  private static func initialMagnitude(_ uniform: Double) -> Double {
    let log = -Foundation.log(2) * pow(1000, -uniform)
    return log - Foundation.log(-expm1(log))
  }

  /// The angle of a channel: at first those of rotary positions.
  private static func initialAngle(_ channel: Int, of channels: Int) -> Double {
    pow(10_000, -Double(channel) / Double(channels))
  }

  var recurrences: [RecurrenceSize] {
    [RecurrenceSize(kernel, heads: heads.heads, parts: heads.valueParts)]
  }
}
