import Autodiff
import Foundation
import Kernels
import SequenceParallel

/// SUPRA's layer: linear attention with fixed decays over rectified features of all heads together.
///
/// Concretely: `q = R relu(E q + e)`, `k = R relu(E k + e)` with positions R after the map, `S_t = γ_h S_{t−1} + k_tᵀ v_t`,
/// `o_t = dφ^−½ q_t S_t`, each head less its mean and over its standard deviation.
///
/// - Source: SUPRA (arXiv 2405.06640), section 3, and its code.
struct JointFeatureAttention: AttentionSubstitute {
  /// How much of a state stays from token to token.
  enum Decay: String, CaseIterable, Sendable {
    /// `e^{−s}` with TransNormerLLM's slopes, `s_h = 2^{−8h/H}`, h from 1, in every layer.
    case slopes
    /// RetNet's, `1 − 2^{−5−h}`, h from 0.
    case retnet
    /// All.
    case none
  }

  let layer: Int
  let heads: HeadSplit
  let queryMap: Linear
  /// Nil where the queries' serves.
  let keyMap: Linear?
  private let positions: RotaryFrequencies
  private let kernel: DiagonalRecurrence
  private let logDecay: [Float]

  /// The output norm's epsilon, whatever the model's is.
  private static let normEpsilon: Float = 1e-5

  init(
    features: Int, decay: Decay, settings: AttentionSettings, heads: HeadSplit,
    at place: MixerPlace, _ builder: inout ModelBuilder
  ) {
    (layer, self.heads) = (place.layer, heads)
    let (H, G) = (heads.heads, heads.keyHeads)
    queryMap = builder.linear(
      place.name + "_totrain_embed", H * features, heads.keyWidth, bias: true)
    keyMap =
      G == H
      ? nil
      : builder.linear(
        place.name + "_totrain_embed_kv", G * features, heads.ownKeyWidth, bias: true)
    positions = settings.positions.frequencies(dimension: features)
    kernel = DiagonalRecurrence(
      decay == .none ? .none : .fixed, keyDimension: features,
      valueDimension: heads.valueDimension, scale: 1 / Float(features).squareRoot())
    logDecay = (0..<H).map { head in
      switch decay {
      case .slopes: Float(-pow(2, -8 * Double(head + 1) / Double(H)))
      case .retnet: Float(log1p(-pow(2, -5 - Double(head))))
      case .none: 0
      }
    }
  }

  func callAsFunction(
    _ inputs: AttentionInputs, tape: Tape, pass: SequencePass
  ) throws -> Variable {
    // Shapes: q [N, H·dφ]; k [N, keyHeads·dφ]; v [N, keyHeads·d]; o [N, H·d].
    func features(_ x: Variable, _ map: Linear) throws -> Variable {
      tape.rotaryEmbedding(tape.relu(try map(x, tape: tape)), positions, pass: pass)
    }
    let o = try tape.recurrence(
      kernel,
      RecurrenceInputs(
        q: features(inputs.q, queryMap), k: features(inputs.k, keyMap ?? queryMap), v: inputs.v,
        logDecay: logDecay), slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    return tape.layerNorm(o, width: heads.valueDimension, epsilon: Self.normEpsilon)
  }

  var recurrences: [RecurrenceSize] { [RecurrenceSize(kernel, heads: heads.heads)] }
}
