/// Gated slot attention: softmax attention over `M` slots of keys and values, which one gate a slot writes and forgets.
///
/// Concretely, with `α_t = e^{g_t}` and what is written `s_t = 1 − α_t`, both in `R^M`:
///
///     [H^k | H^v]_t = diag(α_t) [H^k | H^v]_{t−1} + s_tᵀ [k_t | v_t]      p_t = softmax(H^k_t q_t)      o_t = p_t H^v_t
///
/// The two states of a head have one update, that of a vector decay with the slots as keys, and it does not depend
/// on `p`: they are one state `[M, K + V]`, which crosses ranks at once, with the `M` decays of a shard as its map. Back,
/// the gradients of `p` follow from the states and `dO` of the shard alone, so that the shares `E` of both adjoints are
/// known before either arrives.
///
/// - Complexity: `O(T · (C·(K + V + M) + M·(K + V)))` for each (row, head).
/// - Source: Zhang et al., "Gated Slot Attention" (arXiv 2409.07146).
package struct GatedSlotRecurrence: RecurrenceKernel {
  /// Floats of a query and of a key, `K`; of a value and of an output, `V`; slots, `M`.
  package let keyWidth, valueWidth, slots: Int
  /// Tokens in a full chunk.
  package let chunkLength: Int

  /// The most that K and V may be.
  package static let mostNumbers = 1024

  /// Attention over `slots` slots, 1…256.
  package init(keyWidth: Int, valueWidth: Int, slots: Int, chunkLength: Int = 64) {
    precondition(
      [keyWidth, valueWidth].allSatisfy { (1...Self.mostNumbers).contains($0) }
        && (1...256).contains(slots) && chunkLength > 0,
      "K \(keyWidth), V \(valueWidth), \(slots) slots, chunks of \(chunkLength): K and V are "
        + "1…\(Self.mostNumbers), slots 1…256")
    (self.keyWidth, self.valueWidth, self.slots) = (keyWidth, valueWidth, slots)
    self.chunkLength = chunkLength
  }

  /// `M`: the rows of a state.
  package var keyDimension: Int { slots }
  /// `K + V`: the columns of a state.
  package var valueDimension: Int { keyWidth + valueWidth }
  package var queryWidth: Int { keyWidth }
  package var outputWidth: Int { valueWidth }
  package var mapKind: StateMapKind { .vector }
  package var isMapKnown: Bool { false }
  package var scratchCount: Int { GatedSlotChunk.scratchCount(self) }
  /// Floats of one state.
  var stateCount: Int { keyDimension * valueDimension }
  /// The state at the start of each chunk and at the end, and each token's `p`.
  package func keptCount(_ plan: ChunkPlan) -> Int {
    (plan.chunks.count + 1) * stateCount + plan.tokens * slots
  }
  /// The state's gradient at the start of each chunk and at the end, and that of each token's logits.
  package func keptBackwardCount(_ plan: ChunkPlan) -> Int { keptCount(plan) }

  /// Each token's `M` floats of what is kept.
  func tokens(
    _ kept: UnsafeMutablePointer<Float>, _ plan: ChunkPlan
  ) -> MutableTokenRows {
    MutableTokenRows(kept + (plan.chunks.count + 1) * stateCount, stride: slots)
  }

  /// `next ← diag(totals) state + next`.
  func carry(
    _ state: UnsafePointer<Float>, by totals: UnsafePointer<Float>,
    into next: UnsafeMutablePointer<Float>
  ) {
    let columns = valueDimension
    for m in 0..<slots {
      Rows.addScaled(
        state + m * columns, by: totals[m], count: columns, into: next + m * columns)
    }
  }

  /// `state ← diag(totals) state + increment`.
  func step(
    _ state: UnsafeMutablePointer<Float>, by totals: UnsafePointer<Float>,
    adding increment: UnsafePointer<Float>
  ) {
    let columns = valueDimension
    for m in 0..<slots {
      let (own, other, factor) = (state + m * columns, increment + m * columns, totals[m])
      for x in 0..<columns { own[x] = other[x].addingProduct(factor, own[x]) }
    }
  }
}
