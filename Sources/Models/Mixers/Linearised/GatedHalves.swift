import Autodiff
import Kernels
import SequenceParallel
import Tensors

/// Liger's layer: half of a gated recurrence without positions, half of softmax attention in a window.
///
/// Concretely: `o = ½ o¹ + ½ o²`, o² over the last `window` tokens, and o¹ by the gates `pool(k)` that no new weight is
/// needed for:
///
/// - gla: `S_t = diag(e^{g_t}) S_{t−1} + softmax(k_t)ᵀ v_t`, `o¹_t = softmax(q_t) S_t`, `g = log σ(pool k) / 16`;
/// - hgrn2: `g = log σ(pool k)`, the key `1 − e^g`, the query `softmax(q)`;
/// - gsa: `GatedSlotRecurrence` of q, k, v with `g = log σ(pool k) / 16`.
///
/// - Source: Liger (arXiv 2503.01496), section 3.
struct GatedHalves: AttentionSubstitute {
  /// The recurrence of the first half.
  enum Recurrence: String, Sendable {
    case gla, hgrn2, gsa
  }

  let layer: Int
  let heads: HeadSplit
  let recurrence: Recurrence
  /// Gates of a head of keys.
  let slots: Int
  /// Tokens that the second half sees.
  let window: Int
  private let kernel: any RecurrenceKernel

  /// What log decays of gla and gsa are divided by.
  private static let divisor: Float = 16

  init(_ recurrence: Recurrence, heads: HeadSplit, slots: Int, window: Int, layer: Int) {
    (self.layer, self.heads, self.recurrence) = (layer, heads, recurrence)
    (self.slots, self.window) = (slots, window)
    let d = heads.keyDimension
    kernel =
      recurrence == .gsa
      ? GatedSlotRecurrence(keyWidth: d, valueWidth: d, slots: slots)
      : DiagonalRecurrence(.vector, keyDimension: d, valueDimension: d)
  }

  func callAsFunction(
    _ inputs: AttentionInputs, tape: Tape, pass: SequencePass, for readers: Readers
  ) throws -> Variable {
    // Shapes: q [N, H·d]; k v [N, keyHeads·d]; g [N, keyHeads·M].
    let d = heads.keyDimension
    let pooled = tape.pooled(inputs.k, to: heads.keyHeads * slots)
    let g = tape.logSigmoidGate(pooled, divisor: recurrence == .hgrn2 ? 1 : Self.divisor)
    let isSoftmax = recurrence != .gsa
    let q =
      isSoftmax
      ? tape.softmax(inputs.q, width: d, for: .products) : tape.stored(inputs.q, for: .products)
    let k =
      switch recurrence {
      case .gla: tape.softmax(inputs.k, width: d, for: .products)
      case .hgrn2: tape.decayComplement(g, for: .products)
      case .gsa: tape.stored(inputs.k, for: .products)
      }
    let first = try tape.recurrence(
      kernel, RecurrenceInputs(q: q, k: k, v: inputs.v, g: g),
      slot: CarrySlot(layer: layer, .state(0)), pass: pass)
    let second = try tape.attention(
      q: inputs.rotatedQ, k: inputs.rotatedK, v: inputs.v, dimension: d, window: window,
      slot: CarrySlot(layer: layer, .window), pass: pass)
    return tape.mean(first, second, for: readers)
  }

  var recurrences: [RecurrenceSize] { [RecurrenceSize(kernel, heads: heads.heads)] }

  var attention: AttentionSize? {
    AttentionSize(heads: heads.heads, dimension: heads.keyDimension, window: window)
  }
}
