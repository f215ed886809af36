/// One linear recurrence over one (row, head), chunk by chunk, forward and backward.
///
/// Concretely: `S_t = A_t S_{t−1} + k_tᵀ v_t` (the delta rules put `β_t` before the sum) and
/// `o_t = scale · q_t S_t`, with a state `S` of shape `[K, V]`. A shard of tokens is the affine map
/// `S_out = M S_in + B`, so the work divides into what needs no neighbour and what does:
///
/// | call | needs | gives |
/// |---|---|---|
/// | `summarize` | the shard's tokens | `M`, `B`, what `kept` must hold |
/// | `outputIntra` of each chunk, any order | the chunk's tokens | `o`, first part |
/// | `StateMap.combine` | `S_in` | `S_out`, to be sent on at once |
/// | `begin` | `S_in` | the first chunk's state |
/// | `outputInter` of each chunk, first to last | the chunk's state | `o`, complete |
///
/// and backward `summarizeBackward`, `backwardIntra`, `StateMap.combineTransposed` (`D_in = Mᵀ D_out + E`),
/// `beginBackward`, `backwardInter` (last chunk to first). `forward` and `backward` do all of it for a
/// state that is already there, faster, and give bitwise the same `o` and gradients.
///
/// Nothing allocates. All pointers are to fp32; pointers aligned to 64 bytes are read fastest.
///
/// - Source: LASP (arXiv 2404.02882); chunked forms from Lightning Attention-2 (2401.04658),
///   Gated Linear Attention (2312.06635) and Gated DeltaNet (2412.06464).
package protocol RecurrenceKernel: Sendable {
  /// `K` and `V`: a state is `[K, V]`.
  var keyDimension: Int { get }
  var valueDimension: Int { get }
  /// Floats of a query and of a key a token: `K`, unless the kernel forms what the state sees from fewer.
  var queryWidth: Int { get }
  var keyWidth: Int { get }
  /// Floats of a value and of an output a token: `V`, unless the kernel has columns of its own.
  var valueWidth: Int { get }
  var outputWidth: Int { get }
  /// Floats of `g` a token: 1 for a scalar decay (or none), `K` for a vector decay.
  var decayDimension: Int { get }
  /// Tokens in a full chunk: what `ChunkPlan` is to be made with.
  var chunkLength: Int { get }
  /// What `M` is.
  var mapKind: StateMapKind { get }
  /// Whether `M` follows from the layout alone (no decay and fixed decay), so that no exchange needs
  /// to send it: see `StateMap.known`.
  var isMapKnown: Bool { get }
  /// Whether the backward pass reads the output, `RecurrenceGradient.o`.
  var readsOutput: Bool { get }
  /// Floats of scratch that any call here needs; its contents matter only during a call.
  var scratchCount: Int { get }
  /// Floats that a (row, head) keeps from `summarize` to the end of its backward pass: some, and as many for each chunk, and for
  /// each token.
  func keptCount(_ plan: ChunkPlan) -> Int
  /// Floats that a (row, head) keeps from `summarizeBackward` to the end of its backward pass, of the same form.
  func keptBackwardCount(_ plan: ChunkPlan) -> Int

  /// The shard's map `M` and its state from a zero start, `B`.
  ///
  /// - Parameters:
  ///   - map: `mapKind.count(K)` floats, written; 0 where the shard contains a document start.
  ///   - state: `B`, shape `[K, V]`, written.
  func summarize(
    _ head: RecurrenceHead, _ plan: ChunkPlan, kept: UnsafeMutablePointer<Float>,
    map: UnsafeMutablePointer<Float>, state: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>)

  /// Writes the part of `o` that a chunk's own tokens give.
  func outputIntra(
    _ head: RecurrenceHead, _ plan: ChunkPlan, chunk: Int, kept: UnsafeMutablePointer<Float>,
    o: MutableTokenRows, scratch: UnsafeMutablePointer<Float>)

  /// Hands over the state before the shard's first token: shape `[K, V]`, or nil for zero.
  func begin(_ initial: UnsafePointer<Float>?, _ plan: ChunkPlan, kept: UnsafeMutablePointer<Float>)

  /// Adds to `o` what came before a chunk. Chunks in order from 0, after `begin`.
  func outputInter(
    _ head: RecurrenceHead, _ plan: ChunkPlan, chunk: Int, kept: UnsafeMutablePointer<Float>,
    o: MutableTokenRows, scratch: UnsafeMutablePointer<Float>)

  /// Both for a chunk whose own part has not been written, in the order of `outputInter`: bitwise the same `o` and `kept`.
  func output(
    _ head: RecurrenceHead, _ plan: ChunkPlan, chunk: Int, kept: UnsafeMutablePointer<Float>,
    o: MutableTokenRows, scratch: UnsafeMutablePointer<Float>)

  /// All of the above for a state that is known: bitwise the same `o` and `kept`.
  ///
  /// - Parameters:
  ///   - initial: `S_in`, shape `[K, V]`, or nil for zero.
  ///   - final: `S_out`, shape `[K, V]`, written. It may differ from `StateMap.combine`'s in the last bits
  ///     unless `initial` is nil.
  func forward(
    _ head: RecurrenceHead, _ plan: ChunkPlan, kept: UnsafeMutablePointer<Float>,
    initial: UnsafePointer<Float>?, o: MutableTokenRows, final: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>)

  /// The shard's share `E` of the gradient of its incoming state, from `dO` alone.
  ///
  /// - Parameters:
  ///   - keptBackward: `keptBackwardCount` floats, written.
  ///   - state: `E`, shape `[K, V]`, written.
  func summarizeBackward(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    state: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>)

  /// What gradients go back by, where that is not `M`: see `StateMapKind.adjoint`. After the forward pass.
  ///
  /// - Parameter map: `mapKind.adjoint.count(K)` floats, written.
  func summarizeAdjoint(
    _ plan: ChunkPlan, kept: UnsafeMutablePointer<Float>, map: UnsafeMutablePointer<Float>)

  /// Writes (or adds, where a gradient accumulates) what needs no gradient of the final state.
  func backwardIntra(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan, chunk: Int,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>)

  /// Hands over the gradient of the state after the last token: shape `[K, V]`, or nil for zero.
  func beginBackward(
    _ final: UnsafePointer<Float>?, _ plan: ChunkPlan, keptBackward: UnsafeMutablePointer<Float>)

  /// Adds the rest of a chunk's gradients. Chunks in order from the last to 0, after `beginBackward`.
  func backwardInter(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan, chunk: Int,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>)

  /// Both for a chunk whose own part has not been written, in the order of `backwardInter`: bitwise the same gradients,
  /// unless several heads add to one.
  func backward(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan, chunk: Int,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>)

  /// All of the backward calls for a gradient that is known: bitwise the same gradients.
  ///
  /// - Parameters:
  ///   - final: `D_out`, the gradient of `S_out`, shape `[K, V]`, or nil for zero.
  ///   - initial: `D_in`, the gradient of `S_in`, shape `[K, V]`, written.
  ///   - keptBackward: As in `summarizeBackward`; contents undefined afterwards.
  func backward(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    final: UnsafePointer<Float>?, initial: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>)
}

extension RecurrenceKernel {
  package var queryWidth: Int { keyDimension }
  package var keyWidth: Int { keyDimension }
  package var valueWidth: Int { valueDimension }
  package var outputWidth: Int { valueDimension }
  /// False.
  package var readsOutput: Bool { false }
  /// As many as a map that is no matrix has, unless the kernel says otherwise.
  package var decayDimension: Int { mapKind == .vector ? keyDimension : 1 }

  /// One after the other.
  package func output(
    _ head: RecurrenceHead, _ plan: ChunkPlan, chunk: Int, kept: UnsafeMutablePointer<Float>,
    o: MutableTokenRows, scratch: UnsafeMutablePointer<Float>
  ) {
    outputIntra(head, plan, chunk: chunk, kept: kept, o: o, scratch: scratch)
    outputInter(head, plan, chunk: chunk, kept: kept, o: o, scratch: scratch)
  }

  /// One after the other.
  package func backward(
    _ head: RecurrenceHead, _ gradient: RecurrenceGradient, _ plan: ChunkPlan, chunk: Int,
    kept: UnsafeMutablePointer<Float>, keptBackward: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    backwardIntra(
      head, gradient, plan, chunk: chunk, kept: kept, keptBackward: keptBackward, scratch: scratch)
    backwardInter(
      head, gradient, plan, chunk: chunk, kept: kept, keptBackward: keptBackward, scratch: scratch)
  }

  /// Nothing: gradients go back by `M`.
  package func summarizeAdjoint(
    _ plan: ChunkPlan, kept: UnsafeMutablePointer<Float>, map: UnsafeMutablePointer<Float>
  ) {
    precondition(mapKind.adjoint == mapKind, "\(Self.self) does not say what gradients go back by")
  }

  /// The algebra of its states.
  package var stateMap: StateMap {
    StateMap(mapKind, keyDimension: keyDimension, valueDimension: valueDimension)
  }
}
