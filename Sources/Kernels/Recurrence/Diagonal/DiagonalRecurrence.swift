/// A linear recurrence whose decay is diagonal: none, fixed per head, a scalar or a vector from data, of the keys' or of
/// the values' channels.
///
/// Concretely: `S_t = diag(e^{g_t}) S_{t−1} + k_tᵀ v_t`, `o_t = scale · q_t S_t`. In a chunk of `C` tokens, with `b`
/// the inclusive cumulative sum of `g` and `P_ij = scale · Σ_d q_id k_jd e^{b_id−b_jd}` for `i ≥ j`:
///
///     O = P V + (scale · e^b ⊙ Q) S                 S' = e^{b_C} ⊙ S + (e^{b_C−b} ⊙ K)ᵀ V
///
/// What the decays are is the business of `ScalarDecayChunk` (the same for all channels; no exponentials in
/// the products), `VectorDecayChunk`, `ValueDecayChunk` (a vector of the values' channels) and `SquaredProductChunk`
/// (no decay, squares for weights); this type orders their work.
///
/// - Complexity: `O(T · (C·(K + V) + K·V))` for each (row, head).
/// - Source: Lightning Attention-2 (arXiv 2401.04658), Mamba-2 (2405.21060), Gated Linear Attention (2312.06635).
package struct DiagonalRecurrence: RecurrenceKernel {
  /// Where the decay comes from.
  package enum Decay: Sendable {
    /// There is none: linear attention.
    case none
    /// `RecurrenceHead.logDecay`, the same for all tokens.
    case fixed
    /// `RecurrenceHead.g`, one float a token.
    case scalar
    /// `RecurrenceHead.g`, `K` floats a token.
    case vector
    /// `RecurrenceHead.g`, `V` floats a token: `S_t = S_{t−1} diag(e^{g_t}) + k_tᵀ v_t`.
    ///
    /// States are kept transposed, so that their rows decay: the kernel's `keyDimension` is `V`.
    case value
  }

  /// The most that K may be: a chunk's rows of keys and queries are copied to scratch.
  package static let mostKeys = 4096
  /// The most that V may be: 256, and columns that a mixer adds to them.
  package static let mostValues = 264

  /// Rows and columns of a state: `K` and `V`, or `V` and `K` where the decay is on the side of the values.
  package let keyDimension, valueDimension: Int
  /// Where the decay comes from.
  package let decay: Decay
  /// What multiplies `q`.
  package let scale: Float
  /// Tokens in a full chunk.
  package let chunkLength: Int
  /// Whether a token's output is that of the state before it, `o_t = scale · q_t S_{t−1}`.
  package let isExclusive: Bool
  /// Numbers of a query and of a key: `K`, or fewer where the state sees their monomials.
  package let keyWidth: Int
  /// What is added to the denominators, where outputs are divided by the sum of their weights; else nil.
  ///
  /// Values then have a one after them, which the kernel puts there: the state's last column.
  package let normalizer: Float?
  /// Whether weights are squares of products.
  let isSquared: Bool

  /// The recurrence for states of shape `[K, V]`.
  ///
  /// - Parameters:
  ///   - chunkLength: Tokens in a full chunk.
  ///   - isExclusive: Whether a token's output is that of the state before it; of a vector decay alone.
  ///   - normalizer: Divides outputs by the sum of their weights and this, `o_t = N_t / (d_t + ε)`; not of a decay of
  ///     values. States have a column more than `valueDimension`.
  package init(
    _ decay: Decay, keyDimension: Int, valueDimension: Int, scale: Float = 1,
    chunkLength: Int = 64, isExclusive: Bool = false, normalizer: Float? = nil
  ) {
    precondition(normalizer == nil || decay != .value, "a decay of values has no normaliser")
    let columns = valueDimension + (normalizer == nil ? 0 : 1)
    self.normalizer = normalizer
    precondition(!isExclusive || decay == .vector, "exclusive outputs are those of a vector decay")
    self.isExclusive = isExclusive
    precondition(
      (1...Self.mostKeys).contains(keyDimension) && (1...Self.mostValues).contains(columns)
        && chunkLength > 0,
      "K \(keyDimension), V \(valueDimension), chunks of \(chunkLength): K is 1…\(Self.mostKeys), "
        + "V 1…\(Self.mostValues)")
    (self.keyDimension, self.valueDimension) =
      decay == .value ? (valueDimension, keyDimension) : (keyDimension, columns)
    (self.decay, self.scale, self.chunkLength) = (decay, scale, chunkLength)
    (keyWidth, isSquared) = (keyDimension, false)
  }

  /// Without decay, with the weights `scale · (q·k)²` of queries and keys of `width` numbers.
  ///
  /// The state holds the monomials of degree two: `K = width (width + 1) / 2`.
  package init(
    squaresOf width: Int, valueDimension: Int, scale: Float = 1, chunkLength: Int = 64,
    normalizer: Float? = nil
  ) {
    let features = width * (width + 1) / 2
    let columns = valueDimension + (normalizer == nil ? 0 : 1)
    self.normalizer = normalizer
    precondition(
      (1...Self.mostKeys).contains(features) && (1...Self.mostValues).contains(columns)
        && chunkLength > 0,
      "squares of \(width) numbers are \(features) features, V is \(valueDimension)")
    (keyDimension, self.valueDimension, keyWidth) = (features, columns, width)
    (decay, self.scale, self.chunkLength) = (.none, scale, chunkLength)
    (isSquared, isExclusive) = (true, false)
  }

  /// A vector decay of `rows` rows, for chunks that are part of something larger: without a limit on the columns.
  init(rows: Int, columns: Int, chunkLength: Int) {
    (keyDimension, valueDimension) = (rows, columns)
    (decay, scale, self.chunkLength, isExclusive) = (.vector, 1, chunkLength, false)
    (keyWidth, isSquared, normalizer) = (rows, false, nil)
  }

  /// A number a row of the state where the decay is a vector, else one number.
  package var mapKind: StateMapKind { isVector ? .vector : .scalar }
  /// Whether each row of the state has a decay of its own.
  var isVector: Bool { decay == .vector || decay == .value }
  package var queryWidth: Int { keyWidth }
  package var valueWidth: Int {
    if decay == .value { return keyDimension }
    return normalizer == nil ? valueDimension : valueDimension - 1
  }
  package var outputWidth: Int { valueWidth }
  /// True with a normaliser.
  package var readsOutput: Bool { normalizer != nil }
  /// True without decay and with a fixed one.
  package var isMapKnown: Bool { decay == .none || decay == .fixed }
  /// Floats of scratch that a call needs.
  package var scratchCount: Int {
    if isSquared { return SquaredProductChunk.scratchCount(self) }
    return isVector ? VectorDecayChunk.scratchCount(self) : ScalarDecayChunk.scratchCount(self)
  }
  /// Floats of one state.
  var stateCount: Int { keyDimension * valueDimension }
  /// The state at the start of each chunk; where the decay is on the side of the values, also what outputs owe to it;
  /// with a normaliser, also each token's denominator.
  package func keptCount(_ plan: ChunkPlan) -> Int {
    plan.chunks.count * stateCount
      + (decay == .value ? plan.tokens * Lanes.padded(keyDimension) : 0)
      + (normalizer == nil ? 0 : plan.tokens)
  }
  /// Where a chunk's part of the last begins.
  func denominators(
    _ kept: UnsafeMutablePointer<Float>, _ plan: ChunkPlan, _ range: Range<Int>
  ) -> UnsafeMutablePointer<Float>? {
    normalizer == nil ? nil : kept + plan.chunks.count * stateCount + range.lowerBound
  }
  /// Where a chunk's part of the latter begins.
  func fromState(
    _ kept: UnsafeMutablePointer<Float>, _ plan: ChunkPlan, _ range: Range<Int>
  ) -> UnsafeMutablePointer<Float>? {
    guard decay == .value else { return nil }
    return kept + plan.chunks.count * stateCount + range.lowerBound * Lanes.padded(keyDimension)
  }
  /// The gradient of the state at the end of each chunk.
  package func keptBackwardCount(_ plan: ChunkPlan) -> Int { plan.chunks.count * stateCount }

  /// Runs work on the kind of chunk that the decay needs: the same generic function, once for each.
  @inline(__always)
  func withChunk(
    _ scratch: UnsafeMutablePointer<Float>, _ vector: (VectorDecayChunk) -> Void,
    _ scalar: (ScalarDecayChunk) -> Void, _ value: (ValueDecayChunk) -> Void,
    _ squared: (SquaredProductChunk) -> Void
  ) {
    if isSquared { return squared(SquaredProductChunk(self, scratch)) }
    switch decay {
    case .none, .fixed, .scalar: scalar(ScalarDecayChunk(self, scratch))
    case .vector: vector(VectorDecayChunk(self, scratch))
    case .value: value(ValueDecayChunk(self, scratch))
    }
  }

  /// `next ← diag(totals) state + next`, as `addToState` does it.
  func carry(
    _ state: UnsafePointer<Float>, by totals: UnsafePointer<Float>,
    into next: UnsafeMutablePointer<Float>
  ) {
    let V = valueDimension
    for d in 0..<keyDimension {
      Rows.addScaled(state + d * V, by: totals[d], count: V, into: next + d * V)
    }
  }

  /// `state ← diag(totals) state + increment`, as `addToState` does it.
  func step(
    _ state: UnsafeMutablePointer<Float>, by totals: UnsafePointer<Float>,
    adding increment: UnsafePointer<Float>
  ) {
    let V = valueDimension
    for d in 0..<keyDimension {
      let (own, other) = (state + d * V, increment + d * V)
      let factor = totals[d]
      for x in 0..<V { own[x] = other[x].addingProduct(factor, own[x]) }
    }
  }
}
