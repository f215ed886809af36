import Autodiff
import Foundation
import Kernels
import SequenceParallel
import Tensors

/// SUPRA's layer: linear attention with fixed decays over rectified features of all heads together.
///
/// Concretely: `q = R relu(E q + e)`, `k = R relu(E k + e)` with positions R after the map, `S_t = γ_h S_{t−1} + k_tᵀ v_t`,
/// `o_t = dφ^−½ q_t S_t`, each head less its mean and over its standard deviation. With norms of queries and keys,
/// `relu(E q + e)` is first divided by its root mean square over all heads together, keys as if each head stood as often as it
/// serves heads of queries, and each channel of each of these is multiplied by a number.
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
  /// What the channels of normalised queries and keys are multiplied by, `[H·dφ]`; nil without norms.
  let queryNorm, keyNorm: Parameter?
  private let features: Int
  private let positions: RotaryFrequencies
  private let kernel: DiagonalRecurrence
  private let logDecay: [Float]

  /// The epsilon of all norms here, whatever the model's is.
  private static let normEpsilon: Float = 1e-5

  init(
    features: Int, decay: Decay, hasNorms: Bool, settings: AttentionSettings, heads: HeadSplit,
    at place: MixerPlace, _ builder: inout ModelBuilder
  ) {
    (layer, self.heads, self.features) = (place.layer, heads, features)
    let (H, G) = (heads.heads, heads.keyHeads)
    queryMap = builder.linear(
      place.name + "_totrain_embed", H * features, heads.keyWidth, bias: true)
    keyMap =
      G == H
      ? nil
      : builder.linear(
        place.name + "_totrain_embed_kv", G * features, heads.ownKeyWidth, bias: true)
    func norm(_ name: String) -> Parameter? {
      hasNorms
        ? builder.norm(place.name + name, width: H * features, epsilon: Self.normEpsilon).weight
        : nil
    }
    queryNorm = norm("_totrain_q_norm.weight")
    keyNorm = norm("_totrain_k_norm.weight")
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
    _ inputs: AttentionInputs, tape: Tape, pass: SequencePass, for readers: Readers
  ) throws -> Variable {
    // Shapes: q [N, H·dφ]; k [N, keyHeads·dφ]; v [N, keyHeads·d]; o [N, H·d].
    func features(_ x: Variable, _ map: Linear, _ norm: Parameter?) throws -> Variable {
      let y = tape.relu(try map(x, tape: tape))
      return tape.rotaryEmbedding(
        normalised(y, norm, tape: tape), positions, pass: pass, for: .products)
    }
    let o = try tape.recurrence(
      kernel,
      RecurrenceInputs(
        q: features(inputs.q, queryMap, queryNorm),
        k: features(inputs.k, keyMap ?? queryMap, keyNorm), v: inputs.v,
        logDecay: logDecay), slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    return tape.layerNorm(
      o, width: heads.valueDimension, epsilon: Self.normEpsilon, for: readers)
  }

  /// Features over their root mean square, `[N, H·dφ]`, where there is a norm; the root of heads that are repeated is that of the
  /// heads.
  private func normalised(_ x: Variable, _ norm: Parameter?, tape: Tape) -> Variable {
    guard let norm else { return x }
    guard x.shape.columns < tape.parameters.table[norm].shape.count else {
      return tape.rmsNorm(x, weight: norm, epsilon: Self.normEpsilon)
    }
    return tape.channelScale(
      tape.rmsNorm(x, epsilon: Self.normEpsilon), repeated: norm, width: features)
  }

  var recurrences: [RecurrenceSize] { [RecurrenceSize(kernel, heads: heads.heads)] }
}
