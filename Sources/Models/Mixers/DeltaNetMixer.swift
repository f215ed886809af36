import Autodiff
import Kernels
import SequenceParallel
import Tensors

/// DeltaNet's token mixer: the delta rule.
///
/// Concretely: `S_t = S_{t−1} + β_t k_tᵀ (v_t − k_t S_{t−1})`, `β = σ(x W_b)`, with q and k normalised per head;
/// `y = W_o(rms(o) ⊙ w)`, gated by `silu(x W_g)` where the model has a gate.
///
/// - Source: arXiv 2406.06484.
struct DeltaNetMixer: FlashLayer {
  let layer: Int
  let heads: HeadSplit
  let query, key, value: MixingProjection
  let keyNorm: DeltaNet.KeyNorm
  /// The step's projection, or nil where every step is the largest.
  let step: Linear?
  /// The largest step: 1, or 2 where eigenvalues may be negative.
  let largestStep: Float
  let kernel: DeltaRecurrence
  let norm: HeadNorm
  let output: Linear

  init(_ family: DeltaNet, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (name, dimension) = (place.name, place.dimension)
    layer = place.layer
    let heads = family.heads
    self.heads = heads
    query = builder.mixingProjection(
      "q", 0, at: place, output: heads.keyWidth, taps: family.taps,
      activation: family.keyActivation)
    key = builder.mixingProjection(
      "k", 1, at: place, output: heads.keyWidth, taps: family.taps,
      activation: family.keyActivation)
    value = builder.mixingProjection(
      "v", 2, at: place, output: heads.valueWidth, taps: family.taps, activation: .silu)
    keyNorm = family.keyNorm
    step = family.usesBeta ? builder.linear(name + "b_proj", heads.heads, dimension) : nil
    largestStep = family.doublesBeta ? 2 : 1
    kernel = DeltaRecurrence(
      .none, keyDimension: heads.keyDimension, valueDimension: heads.partDimension,
      scale: heads.scale)
    norm = builder.headNorm(
      "o_norm", at: place, heads: heads.heads, valueDimension: heads.valueDimension,
      isGated: family.isGated)
    output = builder.linear(name + "o_proj", dimension, heads.valueWidth)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; q k [N, H·K]; v o [N, H·V]; beta [N, H].
    let q = normalized(try query(x, tape: tape, pass: pass), tape: tape)
    let k = normalized(try key(x, tape: tape, pass: pass), tape: tape)
    let v = try value(x, tape: tape, pass: pass, for: .products)
    let o = try tape.recurrence(
      kernel, RecurrenceInputs(q: q, k: k, v: v, beta: try beta(x, tape: tape)),
      slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    return try output(norm(o, input: x, tape: tape), adding: residual, tape: tape)
  }

  private func normalized(_ x: Variable, tape: Tape) -> Variable {
    switch keyNorm {
    case .l2: tape.l2Norm(x, width: heads.keyDimension, for: .products)
    case .sum: tape.sumNorm(x, width: heads.keyDimension, for: .products)
    }
  }

  private func beta(_ x: Variable, tape: Tape) throws -> Variable {
    if let step { return try tape.sigmoid(step(x, tape: tape), scale: largestStep) }
    return tape.constant([x.shape.rows, heads.heads], largestStep)
  }

  var recurrences: [RecurrenceSize] {
    [RecurrenceSize(kernel, heads: heads.heads, parts: heads.valueParts)]
  }
}
