import Autodiff
import Foundation
import Kernels
import SequenceParallel
import Tensors

/// MiniMax's token mixer: Lightning attention, normalised over all heads and gated.
///
/// Concretely: `q, k, v = silu(x W)`, `S_t = e^{−s} S_{t−1} + k_tᵀ v_t`, `y = W_o(rms(q S) ⊙ w ⊙ σ(x W_g))`; no scale, no
/// positions. The file has each head's queries, keys and values next to each other.
///
/// - Source: MiniMax-01 (arXiv 2501.08313), section 2.2; the layout of Hugging Face's transformers.
struct LightningMixer: TokenMixer {
  let layer, heads: Int
  let kernel: DiagonalRecurrence
  let logDecay: [Float]
  let query, key, value, output: Linear
  let norm: HeadNorm

  /// Builds `heads` heads of `width` numbers.
  init(heads: Int, width: Int, at place: MixerPlace, _ builder: inout ModelBuilder) {
    let (name, dimension, all) = (place.name, place.dimension, heads * width)
    (layer, self.heads) = (place.layer, heads)
    logDecay = Self.slopes(heads, layer: layer, depth: place.depth).map { Float(-$0) }
    kernel = DiagonalRecurrence(.fixed, keyDimension: width, valueDimension: width)
    let parts = ["q", "k", "v"].map {
      builder.part(
        "\(name)qkv_proj.\($0).weight", [all, dimension], role: .matrix,
        initialization: .normal(deviation: builder.deviation))
    }
    builder.fuse(
      interleaving: parts, groups: heads, into: name + "qkv_proj.weight", [3 * all, dimension])
    (query, key, value) = (
      Linear(weight: parts[0], bias: nil), Linear(weight: parts[1], bias: nil),
      Linear(weight: parts[2], bias: nil)
    )
    norm = HeadNorm(
      norm: builder.norm(name + "norm.weight", width: all, epsilon: 1e-6),
      gate: [builder.linear(name + "output_gate", all, dimension)], activation: .sigmoid)
    output = builder.linear(name + "out_proj", dimension, all)
  }

  func callAsFunction(
    _ x: Variable, adding residual: Variable?, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: x [N, D]; q k v o [N, H·K].
    let q = try tape.silu(query(x, tape: tape, for: .products), for: .products)
    let k = try tape.silu(key(x, tape: tape, for: .products), for: .products)
    let v = try tape.silu(value(x, tape: tape, for: .products), for: .products)
    let o = try tape.recurrence(
      kernel, RecurrenceInputs(q: q, k: k, v: v, logDecay: logDecay),
      slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    return try output(norm(o, input: x, tape: tape), adding: residual, tape: tape)
  }

  var recurrences: [RecurrenceSize] { [RecurrenceSize(kernel, heads: heads)] }

  /// How fast each head's state fades, `s_h = 2^{−8(h+1)/H} (1 − l/(L − 1 + 1e-5) + 1e-5)`, for any number of heads.
  static func slopes(_ heads: Int, layer: Int, depth: Int) -> [Double] {
    let factor = 1 - Double(layer) / (Double(depth - 1) + 1e-5) + 1e-5
    return (1...heads).map { pow(2, -8 * Double($0) / Double(heads)) * factor }
  }

  /// What transformers stores of a layer's decays beside its weights, for blocks of some tokens.
  static func constants(
    heads: Int, at place: MixerPlace, block: Int
  ) -> [ConstantTensor] {
    let slopes = slopes(heads, layer: place.layer, depth: place.depth)
    return [
      ConstantTensor(place.name + "slope_rate", [heads, 1, 1], tolerance: 0.01) {
        Float(slopes[$0])
      },
      ConstantTensor(place.name + "query_decay", [heads, block, 1]) {
        Float(exp(-slopes[$0 / block] * Double($0 % block + 1)))
      },
      ConstantTensor(place.name + "key_decay", [heads, block, 1]) {
        Float(exp(-slopes[$0 / block] * Double(block - 1 - $0 % block)))
      },
      ConstantTensor(place.name + "diagonal_decay", [1, heads, block, block]) {
        let (i, j) = ($0 / block % block, $0 % block)
        return i < j ? 0 : Float(exp(-slopes[$0 / (block * block)] * Double(i - j)))
      },
    ]
  }
}
