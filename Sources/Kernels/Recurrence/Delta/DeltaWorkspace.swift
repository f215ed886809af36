/// Scratch of a delta-rule kernel: what a chunk needs while it is worked on.
struct DeltaWorkspace: ChunkProducts {
  /// Rows `keyStride` apart: `scale · Q`, `K`, `e^b ⊙ scale · Q`, `−e^b ⊙ K`, `β e^{b_C−b} ⊙ K`.
  let q, k, readQueries, negativeKeys, writeKeys: UnsafeMutablePointer<Float>
  /// Rows `valueStride` apart: `V` and what becomes of it.
  let v: UnsafeMutablePointer<Float>
  /// `β`, one float a row.
  let beta: UnsafeMutablePointer<Float>
  /// `e^g`, `e^b` and `e^{b_C−b}`: one float a row, or rows `keyStride` apart for a vector decay.
  let alpha, fromStart, toEnd: UnsafeMutablePointer<Float>
  /// `e^{b_C}`, one float a key channel.
  let decay: UnsafeMutablePointer<Float>
  /// `Γ_ij = e^{b_i−b_j}` for i > j, else 0, of a scalar decay; rows `chunkLength` apart.
  let gamma: UnsafeMutablePointer<Float>
  /// Room for a matrix with rows `chunkLength` apart.
  let square: UnsafeMutablePointer<Float>
  /// `Kᵀ` or `Eᵀ`, rows `chunkLength` apart.
  let transposed: UnsafeMutablePointer<Float>

  /// Where `touch` leaves what it read, so that it reads.
  let touched: UnsafeMutablePointer<Float>

  /// `[M | B]`, and rows of the same width.
  let wideState, wideRows, wideErrors: UnsafeMutablePointer<Float>
  let wideStride: Int

  /// Rows `valueStride` apart: `dO`, `dE`, and its solution `λ`, which is `dV`.
  let dO, dE, lambda: UnsafeMutablePointer<Float>
  /// `tril(dO Eᵀ)`, `tril(λ Eᵀ)` and what they give; rows `chunkLength` apart.
  let outputError, stepError, symmetric: UnsafeMutablePointer<Float>
  /// `Sᵀ` or `Dᵀ`, rows `keyStride` apart.
  let stateTransposed: UnsafeMutablePointer<Float>
  /// The gradient of a state, rows `valueStride` apart.
  let dState: UnsafeMutablePointer<Float>
  /// `dO Sᵀ`, `λ Sᵀ`, `E Dᵀ`, rows `keyStride` apart; the first two become `dQ` and `dK`.
  let dq, dk, dWrite: UnsafeMutablePointer<Float>
  /// Gradients of `β` and of `g`: one float a row, or rows `keyStride` apart.
  let dbeta, dg: UnsafeMutablePointer<Float>

  /// The share of `dg` that pairs of tokens have, one float a row.
  let pairs: UnsafeMutablePointer<Float>
  /// The decays of one register of channels from each token to a block's start.
  let toBlock: UnsafeMutablePointer<Float>

  let isRounded: Bool
  let rounded: PairMatrix.Scratch

  private let end: UnsafeMutablePointer<Float>

  /// Divides the memory from `base` on.
  ///
  /// - Parameter head: What is read; nil where the size alone is asked for.
  init(
    _ kernel: DeltaRecurrence, at base: UnsafeMutablePointer<Float>, for head: RecurrenceHead?
  ) {
    isRounded = head?.isBFloat16 ?? false
    let C = kernel.chunkLength
    let (K, V) = (kernel.paddedKeys, kernel.paddedValues)
    let (keyStride, valueStride) = (kernel.keyStride, kernel.valueStride)
    let gates = kernel.decay == .vector ? keyStride : 1
    var next = base
    func take(_ rows: Int, _ columns: Int) -> UnsafeMutablePointer<Float> {
      defer { next += rows * columns }
      return next
    }
    wideStride = DeltaRecurrence.rowLength(K + V)
    q = take(C, keyStride)
    k = take(C, keyStride)
    readQueries = take(C, keyStride)
    negativeKeys = take(C, keyStride)
    writeKeys = take(C, keyStride)
    v = take(C, valueStride)
    beta = take(C, 1)
    alpha = take(C, gates)
    fromStart = take(C, gates)
    toEnd = take(C, gates)
    decay = take(K, 1)
    gamma = take(C, C)
    square = take(C, C)
    transposed = take(max(K, V), C)
    touched = take(1, 16)
    let pairCount = PairMatrix.Scratch.count([C, K, V])
    rounded = PairMatrix.Scratch(take(3, pairCount), count: pairCount)
    let shared = next
    wideState = take(K, wideStride)
    wideRows = take(C, wideStride)
    wideErrors = take(C, wideStride)
    let endOfSummary = next
    next = shared
    dO = take(C, valueStride)
    dE = take(C, valueStride)
    lambda = take(C, valueStride)
    outputError = take(C, C)
    stepError = take(C, C)
    symmetric = take(C, C)
    stateTransposed = take(V, keyStride)
    dState = take(K, valueStride)
    dq = take(C, keyStride)
    dk = take(C, keyStride)
    dWrite = take(C, keyStride)
    dbeta = take(C, 1)
    dg = take(C, gates)
    pairs = take(C, 1)
    toBlock = take(C, Lanes.width)
    end = max(next, endOfSummary)
  }

  /// Floats that a workspace takes.
  static func count(_ kernel: DeltaRecurrence) -> Int {
    let origin = UnsafeMutablePointer<Float>(bitPattern: 64)!
    return DeltaWorkspace(kernel, at: origin, for: nil).end - origin
  }
}
