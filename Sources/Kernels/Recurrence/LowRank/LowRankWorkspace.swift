/// Scratch of `LowRankRecurrence`: what a chunk needs while it is worked on.
struct LowRankWorkspace {
  /// Rows `keyStride` apart: `scale · Q`, `K`, `a`, `b`.
  let q, k, a, b: UnsafeMutablePointer<Float>
  /// Rows `keyStride` apart: `e^B ⊙ scale · Q`, `e^{B⁻} ⊙ a`, `e^{B_C−B} ⊙ K`, `e^{B_C−B} ⊙ b`.
  let readQueries, readStates, writeKeys, writes: UnsafeMutablePointer<Float>
  /// Rows `valueStride` apart: `V`, and `a` times the state and the values.
  let v, seen: UnsafeMutablePointer<Float>
  /// `e^g`, `e^B` and `e^{B_C−B}`, rows `keyStride` apart.
  let alpha, fromStart, toEnd: UnsafeMutablePointer<Float>
  /// `e^{B_C}`, one float a key channel.
  let decay: UnsafeMutablePointer<Float>
  /// `A_ab`, rows `chunkLength` apart.
  let readWrites: UnsafeMutablePointer<Float>
  /// A register of decayed rows for each channel; or `Vᵀ`, `Uᵀ`, rows `chunkLength` apart.
  let transposed: UnsafeMutablePointer<Float>
  /// Where `ChunkRows.touch` leaves what it read.
  let touched: UnsafeMutablePointer<Float>

  /// `[M | B]`, and rows of the same width.
  let wideState, wideRows, wideReads: UnsafeMutablePointer<Float>
  let wideStride: Int

  /// Rows `valueStride` apart: `dO`, `dU`, its solution `λ`, and `dV`.
  let dO, dReads, lambda, dv: UnsafeMutablePointer<Float>
  /// `dO Uᵀ`, `dO Vᵀ`, `λ Uᵀ`, `λ Vᵀ`, of which the lower triangles count; rows `chunkLength` apart.
  let dQueryWrites, dQueryKeys, dReadWrites, dReadKeys: UnsafeMutablePointer<Float>
  /// `Sᵀ` or `Dᵀ`, rows `keyStride` apart.
  let stateTransposed: UnsafeMutablePointer<Float>
  /// The gradient of a state, rows `valueStride` apart.
  let dState: UnsafeMutablePointer<Float>
  /// Gradients, rows `keyStride` apart.
  let dq, dk, da, db, dg: UnsafeMutablePointer<Float>
  /// The decays of one register of channels from each token to the one before a block.
  let toBlock: UnsafeMutablePointer<Float>

  private let end: UnsafeMutablePointer<Float>

  /// Divides the memory from `base` on.
  init(_ kernel: LowRankRecurrence, at base: UnsafeMutablePointer<Float>) {
    let C = kernel.chunkLength
    let (K, V) = (kernel.paddedKeys, kernel.paddedValues)
    let (keyStride, valueStride) = (kernel.keyStride, kernel.valueStride)
    var next = base
    func take(_ rows: Int, _ columns: Int) -> UnsafeMutablePointer<Float> {
      defer { next += rows * columns }
      return next
    }
    wideStride = ChunkRows.rowLength(K + V)
    (q, k) = (take(C, keyStride), take(C, keyStride))
    (a, b) = (take(C, keyStride), take(C, keyStride))
    (readQueries, readStates) = (take(C, keyStride), take(C, keyStride))
    (writeKeys, writes) = (take(C, keyStride), take(C, keyStride))
    v = take(C, valueStride)
    alpha = take(C, keyStride)
    (fromStart, toEnd) = (take(C, keyStride), take(C, keyStride))
    decay = take(K, 1)
    readWrites = take(C, C)
    transposed = take(max(K, V), C)
    touched = take(1, 16)
    let shared = next
    wideState = take(K, wideStride)
    wideRows = take(C, wideStride)
    wideReads = take(C, wideStride)
    let endOfSummary = next
    next = shared
    seen = take(C, valueStride)
    let endOfForward = next
    next = shared
    dO = take(C, valueStride)
    dReads = take(C, valueStride)
    lambda = take(C, valueStride)
    dv = take(C, valueStride)
    (dQueryWrites, dQueryKeys) = (take(C, C), take(C, C))
    (dReadWrites, dReadKeys) = (take(C, C), take(C, C))
    stateTransposed = take(V, keyStride)
    dState = take(K, valueStride)
    (dq, dk) = (take(C, keyStride), take(C, keyStride))
    (da, db) = (take(C, keyStride), take(C, keyStride))
    dg = take(C, keyStride)
    toBlock = take(C, Lanes.width)
    end = max(next, endOfSummary, endOfForward)
  }

  /// Floats that a workspace takes.
  static func count(_ kernel: LowRankRecurrence) -> Int {
    let origin = UnsafeMutablePointer<Float>(bitPattern: 64)!
    return LowRankWorkspace(kernel, at: origin).end - origin
  }
}
