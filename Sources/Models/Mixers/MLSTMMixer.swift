import Autodiff
import Foundation
import Kernels
import SequenceParallel
import Tensors

/// xLSTM's token mixer, the mLSTM: a scalar decay with exponential input gates and a normaliser.
///
/// Concretely: `i = c tanh(x W_i / c)`, `f = log σ(c tanh(x W_f / c))`, `h` as `MLSTMRecurrence` has it, and
/// `y = W_o(ln(h) ⊙ w ⊙ σ(x W_g))` with ln over each head.
///
/// - Source: arXiv 2405.04517, section 2.3; 2503.13427, section 3.
struct MLSTMMixer: FlashLayer {
  let layer: Int
  let heads: Int
  let query, key, value, gate: Linear
  let inputGate, forgetGate: Linear
  let gateCap: Float
  let kernel: MLSTMRecurrence
  let norm: LayerNorm
  let output: Linear

  init(_ family: MLSTM, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (name, split) = (place.name, family.heads)
    layer = place.layer
    heads = split.heads
    let isFused = family.mode == .fused
    let projections = builder.projections(
      [
        (name + "q", split.keyWidth), (name + "k", split.keyWidth), (name + "v", split.valueWidth),
        (name + "ogate_preact", split.valueWidth),
      ], fused: isFused ? name + "qkv_opreact" : nil, input: place.dimension, bias: family.hasBias)
    (query, key, value, gate) = (projections[0], projections[1], projections[2], projections[3])
    (inputGate, forgetGate) = Self.gates(
      fused: isFused ? name + "ifgate_preact" : nil, name, heads: split.heads,
      dimension: place.dimension, &builder)
    gateCap = Float(family.gateCap)
    kernel = MLSTMRecurrence(
      keyDimension: split.keyDimension, valueDimension: split.valueDimension, scale: split.scale,
      epsilon: family.epsilon)
    norm = builder.layerNorm(
      name + "multihead_norm", columns: split.valueWidth, width: split.valueDimension,
      bias: family.hasBias, epsilon: place.epsilon)
    output = builder.linear(
      name + "out_proj", place.dimension, split.valueWidth, bias: family.hasBias,
      initialization: .normal(
        deviation: XLSTM.outputDeviation(place.dimension, place.depth)))
  }

  /// The gates' projections, always with biases: at first no input, and forget gates that differ by head.
  private static func gates(
    fused: String?, _ name: String, heads: Int, dimension: Int, _ builder: inout ModelBuilder
  ) -> (input: Linear, forget: Linear) {
    let biases: [ParameterInitialization] = [
      .constant(-10), .indexed { 3 + 3 * Double($0) / Double(max(heads - 1, 1)) },
    ]
    let names = ["igate_preact", "fgate_preact"].map { name + $0 }
    guard let fused else {
      let gates = zip(names, biases).map { name, bias in
        Linear(
          weight: builder.parameter(
            name + ".weight", [heads, dimension], role: .matrix, initialization: .constant(0)),
          bias: builder.parameter(name + ".bias", [heads], role: .bias, initialization: bias))
      }
      return (gates[0], gates[1])
    }
    let weights = names.map {
      builder.part(
        $0 + ".weight", [heads, dimension], role: .matrix, initialization: .constant(0))
    }
    builder.fuse(weights, into: fused + ".weight", [2 * heads, dimension])
    let offsets = zip(names, biases).map {
      builder.part($0 + ".bias", [heads], role: .bias, initialization: $1)
    }
    builder.fuse(offsets, into: fused + ".bias", [2 * heads])
    return (
      Linear(weight: weights[0], bias: offsets[0]), Linear(weight: weights[1], bias: offsets[1])
    )
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; q k [N, H·K]; v h gate [N, H·V]; f i [N, H].
    let f = try tape.logSigmoidGate(
      tape.softCap(forgetGate(x, tape: tape), gateCap), divisor: 1)
    let h = try tape.recurrence(
      kernel,
      RecurrenceInputs(
        q: query(x, tape: tape, for: .products), k: key(x, tape: tape, for: .products),
        v: value(x, tape: tape, for: .products), g: f,
        beta: tape.softCap(inputGate(x, tape: tape), gateCap)),
      slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    let gated = try tape.product(
      tape.sigmoid(gate(x, tape: tape, for: .products)), norm(h, tape: tape, for: .products),
      for: .products)
    return try output(gated, adding: residual, tape: tape)
  }

  var recurrences: [RecurrenceSize] { [RecurrenceSize(kernel, heads: heads)] }
}
