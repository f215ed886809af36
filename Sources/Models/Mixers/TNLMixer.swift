import Autodiff
import Foundation
import Kernels
import SequenceParallel
import Tensors

/// TransNormerLLM's token mixer: `y = W_o(u ⊙ SRMS(o))`, `o` by Lightning Attention.
///
/// - Source: arXiv 2307.14995, 2401.04658.
struct TNLMixer: TokenMixer {
  let layer: Int
  let heads: Int
  let kernel: DiagonalRecurrence
  let logDecay: [Float]
  let query, key, value, gate, output: Linear
  /// Angles of the learned rotary positions, `[H, 1, K]`, or nil.
  let theta: Parameter?

  init(_ family: TransNormerLLM, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (hidden, bias, name) = (family.hidden, family.bias, place.name)
    let lrpe = family.lrpeLayers.contains(place.layer)
    layer = place.layer
    heads = family.heads
    logDecay = family.logDecay(layer: layer)
    let width = hidden / heads
    kernel = DiagonalRecurrence(
      .fixed, keyDimension: lrpe ? 2 * width : width, valueDimension: width)
    let fused = builder.fused(
      name + "qkvu_proj", parts: ["q", "k", "v", "u"].map { ($0, hidden) }, input: place.dimension,
      bias: bias)
    (query, key, value, gate) = (fused[0], fused[1], fused[2], fused[3])
    output = builder.linear(name + "out_proj", place.dimension, hidden, bias: bias)
    theta =
      lrpe
      ? builder.parameter(
        name + "lrpe.theta", [heads, 1, width], role: .norm,
        initialization: .indexed { pow(10000, -2 * Double($0) / Double(hidden)) }) : nil
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; q k v u o [N, H·K]; rotated q k [N, H·2K].
    // What turns them reads fp32; the recurrence reads what products may.
    let readers: Readers = theta == nil ? .products : .any
    var q = try tape.silu(query(x, tape: tape, for: .products), for: readers)
    var k = try tape.silu(key(x, tape: tape, for: .products), for: readers)
    if let theta {
      q = tape.learnedRotation(q, theta: theta, layout: pass.layout)
      k = tape.learnedRotation(k, theta: theta, layout: pass.layout)
    }
    let o = try tape.recurrence(
      kernel,
      RecurrenceInputs(q: q, k: k, v: value(x, tape: tape, for: .products), logDecay: logDecay),
      slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    let gated = try tape.product(
      gate(x, tape: tape, for: .products),
      tape.rmsNorm(
        o, width: heads * kernel.valueDimension, epsilon: 1e-6, for: .products), for: .products)
    return try output(gated, adding: residual, tape: tape)
  }

  var recurrences: [RecurrenceSize] {
    [RecurrenceSize(kernel, heads: heads)]
  }
}
