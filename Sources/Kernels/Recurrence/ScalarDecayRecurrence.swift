/// A linear recurrence whose decay is one number per head and token: none, fixed, or from data.
///
/// Concretely: `S_t = e^{g_t} S_{t−1} + k_tᵀ v_t`, `o_t = scale · q_t S_t`. In a chunk of `C` tokens, with `b` the
/// inclusive cumulative sum of `g` and `Γ_ij = scale · e^{b_i−b_j}` for `i ≥ j`:
///
///     P = Γ ⊙ Q Kᵀ                  O = P V + (scale · e^b Q) S           S' = e^{b_C} S + Kᵀ (e^{b_C−b} V)
///     dP = Γ ⊙ dO Vᵀ                dQ = dP K + (scale · e^b dO) Sᵀ       dK = dPᵀ Q + (e^{b_C−b} V) dS'ᵀ
///     dV = Pᵀ dO + (e^{b_C−b} K) dS'                                      dS = e^{b_C} dS' + Qᵀ (scale · e^b dO)
///     dg_l = Σ_{i ≥ l > j} Z_ij + Σ_{i ≥ l} q_i·dq_i' + Σ_{j < l} k_j·dk_j' + e^{b_C} ⟨S, dS'⟩
///
/// where `Z = P ⊙ dO Vᵀ` and `dq'`, `dk'` are the terms with `S` and `dS'`: no sum here cancels.
///
/// - Complexity: `O(T · (C·(K + V) + K·V))` for each (row, head).
/// - Source: Lightning Attention-2 (arXiv 2401.04658), Mamba-2 (2405.21060).
public struct ScalarDecayRecurrence: RecurrenceKernel {
  /// Where the decay comes from.
  public enum Decay: Sendable {
    /// There is none: linear attention.
    case none
    /// `RecurrenceHead.logDecay`, the same for all tokens.
    case fixed
    /// `RecurrenceHead.g`, one float a token.
    case fromData
  }

  public let keyDimension, valueDimension: Int
  /// Where the decay comes from.
  public let decay: Decay
  /// What multiplies `q`.
  public let scale: Float
  public let chunkLength: Int

  /// The recurrence for states of shape `[K, V]`.
  ///
  /// - Parameters:
  ///   - chunkLength: Tokens in a full chunk.
  public init(
    _ decay: Decay, keyDimension: Int, valueDimension: Int, scale: Float = 1,
    chunkLength: Int = 64
  ) {
    precondition(
      (1...256).contains(keyDimension) && (1...256).contains(valueDimension) && chunkLength > 0,
      "K \(keyDimension), V \(valueDimension), chunks of \(chunkLength): K and V are 1…256")
    (self.keyDimension, self.valueDimension) = (keyDimension, valueDimension)
    (self.decay, self.scale, self.chunkLength) = (decay, scale, chunkLength)
  }

  public var mapKind: StateMapKind { .scalar }
  public var isMapKnown: Bool { decay != .fromData }
  public var scratchCount: Int { ScalarDecayChunk.count(self) }
  /// Floats of one state.
  var stateCount: Int { keyDimension * valueDimension }
  /// The state at the start of each chunk.
  public func keptCount(_ plan: ChunkPlan) -> Int { plan.chunks.count * stateCount }
  /// The gradient of the state at the end of each chunk.
  public func keptBackwardCount(_ plan: ChunkPlan) -> Int { plan.chunks.count * stateCount }
}
