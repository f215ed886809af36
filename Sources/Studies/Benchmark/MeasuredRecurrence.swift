import Kernels
import Models

/// A recurrence as the benchmark names and sizes it.
struct MeasuredRecurrence {
  let name: String
  let kernel: any RecurrenceKernel
  /// Log decays from data, a token and head.
  let decayWidth: Int

  /// All that there are, for states of shape `[dimension, dimension]`.
  static func all(_ dimension: Int) -> [MeasuredRecurrence] {
    func diagonal(
      _ decay: DiagonalRecurrence.Decay, isExclusive: Bool = false, normalizer: Float? = nil
    ) -> any RecurrenceKernel {
      DiagonalRecurrence(
        decay, keyDimension: dimension, valueDimension: dimension, isExclusive: isExclusive,
        normalizer: normalizer)
    }
    func delta(_ decay: DeltaRecurrence.Decay) -> any RecurrenceKernel {
      DeltaRecurrence(decay, keyDimension: dimension, valueDimension: dimension)
    }
    func lowRank(_ decay: LowRankRecurrence.Decay) -> any RecurrenceKernel {
      LowRankRecurrence(decay, keyDimension: dimension, valueDimension: dimension)
    }
    // Each head has as many slots as gsa has by default.
    let slots = GatedSlotRecurrence(keyWidth: dimension, valueWidth: dimension, slots: 64)
    return [
      MeasuredRecurrence(name: "no decay", kernel: diagonal(.none), decayWidth: 0),
      MeasuredRecurrence(
        name: "no decay, normalised", kernel: diagonal(.none, normalizer: 1e-6), decayWidth: 0),
      MeasuredRecurrence(name: "fixed decay", kernel: diagonal(.fixed), decayWidth: 0),
      MeasuredRecurrence(name: "scalar decay", kernel: diagonal(.scalar), decayWidth: 1),
      MeasuredRecurrence(
        name: "mLSTM", kernel: MLSTMRecurrence(keyDimension: dimension, valueDimension: dimension),
        decayWidth: 1),
      MeasuredRecurrence(name: "vector decay", kernel: diagonal(.vector), decayWidth: dimension),
      MeasuredRecurrence(
        name: "vector, exclusive", kernel: diagonal(.vector, isExclusive: true),
        decayWidth: dimension),
      MeasuredRecurrence(
        name: "vector, normalised", kernel: diagonal(.vector, normalizer: 1e-6),
        decayWidth: dimension),
      MeasuredRecurrence(
        name: "scalar, normalised", kernel: diagonal(.scalar, normalizer: 1e-6), decayWidth: 1),
      MeasuredRecurrence(name: "value decay", kernel: diagonal(.value), decayWidth: dimension),
      MeasuredRecurrence(
        name: "gated slots", kernel: slots, decayWidth: slots.slots),
      MeasuredRecurrence(name: "delta rule", kernel: delta(.none), decayWidth: 0),
      MeasuredRecurrence(name: "gated delta rule", kernel: delta(.scalar), decayWidth: 1),
      MeasuredRecurrence(
        name: "delta, vector decay", kernel: delta(.vector), decayWidth: dimension),
      MeasuredRecurrence(name: "low rank", kernel: lowRank(.none), decayWidth: 0),
      MeasuredRecurrence(name: "low rank, scalar", kernel: lowRank(.scalar), decayWidth: 1),
      MeasuredRecurrence(
        name: "low rank, vector", kernel: lowRank(.vector), decayWidth: dimension),
    ]
  }

  func workload(tokens: Int, heads: Int) -> RecurrenceWorkload {
    RecurrenceWorkload(kernel, decayWidth: decayWidth, tokens: tokens, heads: heads)
  }

  func size(heads: Int) -> RecurrenceSize {
    RecurrenceSize(kernel, heads: heads)
  }
}
