/// The recurrence of the mLSTM: a scalar decay with an exponential input gate, a normaliser, and a state that is
/// stored divided by the exponential of a running maximum.
///
/// Concretely, with `f` the log forget gate (`RecurrenceHead.g`) and `i` the log input gate (`RecurrenceHead.beta`),
/// one float a token each:
///
///     m_t = max(f_t + m_{t−1}, i_t)      [S_t | n_t] = e^{f_t+m_{t−1}−m_t} [S_{t−1} | n_{t−1}] + e^{i_t−m_t} k_tᵀ [v_t, 1]
///     [N_t, d_t] = scale · q_t [S_t | n_t]            h_t = N_t / (max(|d_t|, e^{−m_t}) + ε)
///
/// A state is `S`, shape `[K, V]`, behind it `n`, `K` floats, and `m`. Where nothing came before, and where a document
/// starts, all of it is zero. The gradient of a state is taken with its `m` held constant; in `m`'s place is the
/// gradient by `m` itself, which is there because of ε. See `StateMapKind.stabilised` for what crosses a shard.
///
/// `m` is rounded to fp32 between chunks, and `S` and `n` are divided by what it is rounded to: nothing is lost. The kernel
/// reads `RecurrenceGradient.o`.
///
/// - Complexity: `O(T · (C·(K + V) + K·V))` for each (row, head).
/// - Source: xLSTM (arXiv 2405.04517), section 2.3; chunks as in xLSTM 7B (2503.13427).
package struct MLSTMRecurrence: RecurrenceKernel {
  /// `K` and `V`.
  package let keyDimension, valueDimension: Int
  /// What multiplies `q`, and what is added to the denominator.
  package let scale, epsilon: Float
  /// Tokens in a full chunk.
  package let chunkLength: Int

  /// The recurrence for states of `K · (V + 1) + 1` floats.
  package init(
    keyDimension: Int, valueDimension: Int, scale: Float = 1, epsilon: Float = 1e-6,
    chunkLength: Int = 64
  ) {
    precondition(
      (1...Self.greatest).contains(keyDimension) && (1...Self.greatest).contains(valueDimension)
        && chunkLength > 0,
      "K \(keyDimension), V \(valueDimension), chunks of \(chunkLength): K and V are 1…\(Self.greatest)"
    )
    (self.keyDimension, self.valueDimension) = (keyDimension, valueDimension)
    (self.scale, self.epsilon, self.chunkLength) = (scale, epsilon, chunkLength)
  }

  /// The most numbers of a key or a value.
  package static let greatest = 1024

  /// `stabilised`.
  package var mapKind: StateMapKind { .stabilised }
  /// False: the gates come from data.
  package var isMapKnown: Bool { false }
  /// True.
  package var readsOutput: Bool { true }
  /// One log forget gate a token.
  package var decayDimension: Int { 1 }
  /// Floats of scratch that a call needs.
  package var scratchCount: Int { MLSTMChunk.scratchCount(self) }

  /// Floats of `S` alone.
  var matrixCount: Int { keyDimension * valueDimension }
  /// Floats of `S` and `n`.
  var sumsCount: Int { matrixCount + keyDimension }
  /// Floats of one state.
  var stateCount: Int { sumsCount + 1 }
  /// Floats from one kept state to the next: whole cache lines.
  private var stateStride: Int { (stateCount + 15) & ~15 }

  /// The state at the start of each chunk, by what it is multiplied in the chunk, and each token's `d`.
  package func keptCount(_ plan: ChunkPlan) -> Int {
    plan.chunks.count * (stateStride + 1) + plan.tokens
  }
  /// The gradient of the state at the end of each chunk.
  package func keptBackwardCount(_ plan: ChunkPlan) -> Int { plan.chunks.count * stateStride }

  /// The state kept for a chunk, or its gradient.
  func state(_ kept: UnsafeMutablePointer<Float>, _ chunk: Int) -> UnsafeMutablePointer<Float> {
    kept + chunk * stateStride
  }
  /// What the state is multiplied by in a chunk, as `StateMapKind.stabilisedAdjoint` has it.
  func factor(
    _ kept: UnsafeMutablePointer<Float>, _ plan: ChunkPlan, _ chunk: Int
  ) -> UnsafeMutablePointer<Float> { kept + plan.chunks.count * stateStride + chunk }
  /// `d` of each token of a chunk.
  func denominators(
    _ kept: UnsafeMutablePointer<Float>, _ plan: ChunkPlan, _ chunk: Int
  ) -> UnsafeMutablePointer<Float> {
    kept + plan.chunks.count * (stateStride + 1) + plan.chunks[chunk].lowerBound
  }

  /// `state ← map(state) + increment`, as `StateMap.combine` does it.
  func step(
    _ state: UnsafeMutablePointer<Float>, logDecay: Double, adding increment: UnsafePointer<Float>
  ) {
    StabilisedState.combine(
      logDecay: logDecay, state, adding: increment, count: sumsCount, into: state)
  }
}
