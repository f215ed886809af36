/// The scratch of a chunk, divided.
///
/// Leading dimensions are whole registers; rows beyond the chunk's tokens hold anything.
struct DiagonalBuffers {
  /// Dimensions of a state, `[K, V]`, and the most tokens.
  let K, V, C: Int
  /// Whether the decay is on the side of the values.
  ///
  /// Queries and keys then have `V` floats and stand in `dO` and `v`; values and the output's gradient have `K`, in `k`
  /// and `q`. Gradients are likewise: those of queries in `o`, of keys in `dv`, of values in `dk`; the output is in `dq`.
  let isOfValues: Bool
  /// Numbers of a row of `q`, `k`, `dq` and `dk`: `K`, or fewer where the state holds their monomials.
  let W: Int
  /// Numbers of a token's value and output: the state's columns without a normaliser's.
  let N: Int
  /// What is added to the denominators, where outputs are divided by the sum of their weights; else nil.
  let epsilon: Float?
  /// The chunk's denominators `d` between the parts of its output, then `1 / (d + ε)`.
  var denominators: UnsafeMutablePointer<Float>?
  /// Leading dimensions of what has `K`, `V`, `C` and `W` columns.
  let ldK, ldV, ldC, ldW: Int
  /// That of states, whose rows may be part of longer ones.
  var ldState: Int
  /// Tokens in the chunk.
  var tokens = 0
  /// Where a decay on the side of the values keeps what the output owes to the state, `[tokens, ldK]`; else nil.
  var fromState: UnsafeMutablePointer<Float>?
  /// `e^{b_C}` for each of `K` rows of a state.
  var totals: UnsafeMutablePointer<Float>
  /// Contiguous copies of the chunk's rows.
  let q, v, dO: UnsafeMutablePointer<Float>
  var k: UnsafeMutablePointer<Float>
  /// `scale · e^b ⊙ q` and `e^{b_C−b} ⊙ k`.
  let qIn: UnsafeMutablePointer<Float>
  var kOut: UnsafeMutablePointer<Float>
  /// Transposes, `[K, C]` and `[V, C]`, and of a state, `[V, K]`.
  let kT, vT, stateT: UnsafeMutablePointer<Float>
  /// `P` and `dP`, `[C, C]`.
  let p, dP: UnsafeMutablePointer<Float>
  /// Results; `dg` is `[C, G]` with `G` 1 or `K`.
  let o, dq, dk, dv, dg: UnsafeMutablePointer<Float>
  /// The state that a pass carries from chunk to chunk, `[K, V]`.
  let state: UnsafeMutablePointer<Float>
  /// A gradient's term by itself, `[C, K]`.
  let term: UnsafeMutablePointer<Float>
  private var next: UnsafeMutablePointer<Float>

  /// Divides scratch; `take` gives more.
  init(_ kernel: DiagonalRecurrence, _ scratch: UnsafeMutablePointer<Float>) {
    self.init(kernel, scratch, isOfValues: kernel.decay == .value, epsilon: kernel.normalizer)
  }

  /// Divides scratch for another kernel.
  init(
    _ kernel: some RecurrenceKernel, _ scratch: UnsafeMutablePointer<Float>, isOfValues: Bool,
    epsilon: Float? = nil
  ) {
    (K, V, C) = (kernel.keyDimension, kernel.valueDimension, kernel.chunkLength)
    (N, self.epsilon) = (epsilon == nil ? V : V - 1, epsilon)
    self.isOfValues = isOfValues
    W = isOfValues ? K : kernel.keyWidth
    (ldK, ldV, ldC, ldState) = (Lanes.padded(K), Lanes.padded(V), Lanes.padded(C), V)
    ldW = Lanes.padded(W)
    let start = UnsafeMutablePointer<Float>(bitPattern: (UInt(bitPattern: scratch) + 63) & ~63)!
    (totals, next) = (start, start)
    next += Lanes.padded(K)
    func take(_ count: Int, _ next: inout UnsafeMutablePointer<Float>)
      -> UnsafeMutablePointer<Float>
    {
      defer { next += (count + 15) & ~15 }
      return next
    }
    (q, k) = (take(C * ldW, &next), take(C * ldW, &next))
    (qIn, kOut) = (take(C * ldK, &next), take(C * ldK, &next))
    (v, dO) = (take(C * ldV, &next), take(C * ldV, &next))
    (kT, vT, stateT) = (take(K * ldC, &next), take(V * ldC, &next), take(V * ldK, &next))
    (p, dP) = (take(C * ldC, &next), take(C * ldC, &next))
    o = take(C * ldV, &next)
    (dq, dk, dv) = (take(C * ldW, &next), take(C * ldW, &next), take(C * ldV, &next))
    state = take(K * V, &next)
    (dg, term) = (take(C * ldK, &next), take(C * ldK, &next))
  }

  /// More scratch, of `count` floats, aligned.
  mutating func take(_ count: Int) -> UnsafeMutablePointer<Float> {
    defer { next += (count + 15) & ~15 }
    return next
  }

  /// Floats that `body` takes of scratch, with what aligning it may take.
  static func count(
    _ body: (UnsafeMutablePointer<Float>) -> DiagonalBuffers
  ) -> Int {
    let start = UnsafeMutablePointer<Float>(bitPattern: 64)!
    return body(start).next - start + 16
  }

  /// `target ← rows` of a chunk, `columns` numbers each.
  func load(
    _ rows: TokenRows, _ range: Range<Int>, _ columns: Int,
    into target: UnsafeMutablePointer<Float>, ld: Int
  ) {
    guard rows.kind == .float else {
      return Rows.widen(
        rows.halves(range.lowerBound), stride: rows.stride, rows: tokens, columns: columns,
        into: target, ld: ld)
    }
    Rows.copy(
      rows[range.lowerBound], stride: rows.stride, rows: tokens, columns: columns, into: target,
      ld: ld)
  }

  /// Reads the chunk's queries.
  func loadQ(_ head: RecurrenceHead, _ range: Range<Int>) {
    isOfValues
      ? load(head.q, range, V, into: dO, ld: ldV) : load(head.q, range, W, into: q, ld: ldW)
  }
  /// Reads the chunk's keys.
  func loadK(_ head: RecurrenceHead, _ range: Range<Int>) {
    isOfValues
      ? load(head.k, range, V, into: v, ld: ldV) : load(head.k, range, W, into: k, ld: ldW)
  }
  /// Reads the chunk's values.
  func loadV(_ head: RecurrenceHead, _ range: Range<Int>) {
    if isOfValues { return load(head.v, range, K, into: k, ld: ldK) }
    load(head.v, range, N, into: v, ld: ldV)
    if epsilon != nil { for i in 0..<tokens { v[i * ldV + N] = 1 } }
  }
  /// Reads the output's gradient in the chunk; of a quotient, makes it that of numerator and denominator.
  func loadDO(_ gradient: RecurrenceGradient, _ range: Range<Int>) {
    if isOfValues { return load(gradient.dO, range, K, into: q, ld: ldK) }
    guard let inverse = denominators else {
      return load(gradient.dO, range, N, into: dO, ld: ldV)
    }
    guard let o = gradient.o else { preconditionFailure("a quotient's gradient needs o") }
    for i in 0..<tokens {
      let (from, row) = (gradient.dO[range.lowerBound + i], dO + i * ldV)
      row[N] = -inverse[i] * Rows.dot(from, o[range.lowerBound + i], count: N)
      Rows.scale(from, stride: 0, rows: 1, columns: N, by: inverse + i, into: row, ld: 0)
    }
  }

  /// Where the output is, how wide, and its leading dimension.
  private var output: (UnsafeMutablePointer<Float>, Int, Int) {
    isOfValues ? (dq, K, ldK) : (o, N, ldV)
  }

  /// Writes the complete output, past the caches.
  func storeO(_ rows: MutableTokenRows, _ range: Range<Int>) {
    let (o, width, ld) = output
    if let denominators, let epsilon {
      for i in 0..<tokens { denominators[i] = 1 / (o[i * ld + width] + epsilon) }
      Rows.scale(o, stride: ld, rows: tokens, columns: width, by: denominators, into: o, ld: ld)
    }
    write(o, ld, width, rows, range, false)
  }

  /// Writes a part of the output, which will be read again soon.
  func storePartOfO(_ rows: MutableTokenRows, _ range: Range<Int>) {
    let (o, width, ld) = output
    if let denominators { for i in 0..<tokens { denominators[i] = o[i * ld + width] } }
    write(o, ld, width, rows, range, true)
  }

  /// Reads the part of the output that was stored.
  func reloadO(_ rows: MutableTokenRows, _ range: Range<Int>) {
    let (o, width, ld) = output
    load(TokenRows(rows.base, stride: rows.stride), range, width, into: o, ld: ld)
    if let denominators { for i in 0..<tokens { o[i * ld + width] = denominators[i] } }
  }

  /// `dq ← dq + stored dq` and so on, where they accumulate.
  func addStored(_ gradient: RecurrenceGradient, _ range: Range<Int>) {
    forEachGradient(gradient) { own, rows, columns, ld in
      guard rows.accumulates else { return }
      Rows.add(
        rows[range.lowerBound], stride: rows.stride, rows: tokens, columns: columns, into: own,
        ld: ld)
    }
  }

  /// `dq ← stored dq` and so on.
  func reload(_ gradient: RecurrenceGradient, _ range: Range<Int>) {
    forEachGradient(gradient) { own, rows, columns, ld in
      load(TokenRows(rows.base, stride: rows.stride), range, columns, into: own, ld: ld)
    }
  }

  /// Writes `dq`, `dk` and `dv`, likewise.
  func store(_ gradient: RecurrenceGradient, _ range: Range<Int>, isReadAgain: Bool = false) {
    forEachGradient(gradient) { own, rows, columns, ld in
      write(own, ld, columns, rows, range, isReadAgain)
    }
  }

  @inline(__always)
  private func write(
    _ own: UnsafePointer<Float>, _ ld: Int, _ columns: Int, _ rows: MutableTokenRows,
    _ range: Range<Int>, _ isReadAgain: Bool
  ) {
    let target = rows[range.lowerBound]
    if isReadAgain {
      Rows.copy(own, stride: ld, rows: tokens, columns: columns, into: target, ld: rows.stride)
    } else {
      Rows.stream(own, stride: ld, rows: tokens, columns: columns, into: target, ld: rows.stride)
    }
  }

  /// What the gradients are, where they go and how wide they are.
  @inline(__always)
  private func forEachGradient(
    _ gradient: RecurrenceGradient,
    _ body: (UnsafeMutablePointer<Float>, MutableTokenRows, _ columns: Int, _ ld: Int) -> Void
  ) {
    if isOfValues {
      body(o, gradient.dq, V, ldV)
      body(dv, gradient.dk, V, ldV)
      return body(dk, gradient.dv, K, ldK)
    }
    body(dq, gradient.dq, W, ldW)
    body(dk, gradient.dk, W, ldW)
    body(dv, gradient.dv, N, ldV)
  }

  /// `stored dg ← dg`, or their sum.
  func storeDG(
    _ gradient: RecurrenceGradient, _ range: Range<Int>, width: Int, ld: Int, adds: Bool
  ) {
    guard let rows = gradient.dg else { preconditionFailure("a decay from data needs dg") }
    let target = rows[range.lowerBound]
    if adds {
      Rows.add(dg, stride: ld, rows: tokens, columns: width, into: target, ld: rows.stride)
    } else {
      Rows.copy(dg, stride: ld, rows: tokens, columns: width, into: target, ld: rows.stride)
    }
  }
}
