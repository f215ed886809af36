extension SoftmaxAttention {
  /// What one (row, head) of the backward pass reads and adds to.
  ///
  /// Unchecked: each thread writes the gradients of its own units, which its caller keeps alive.
  package struct Gradients: @unchecked Sendable {
    let dO: TokenRows
    let dq: MutableTokenRows
    let logSum, delta: UnsafePointer<Float>
    let dLogSums: UnsafeMutablePointer<Double>?
    let sumsToOne: Bool

    /// Describes the gradients of the queries.
    ///
    /// - Parameters:
    ///   - dO: The output's gradient.
    ///   - dq: The queries' gradient, added to.
    ///   - logSum: The log of each query's sum, from the forward pass.
    ///   - delta: `Σ dO ⊙ O` of each query.
    ///   - dLogSums: The gradients of the queries' sums of log gates, added to; nil where there are none.
    ///   - sumsToOne: Whether a query's probabilities are those of the keys it sees alone, with nothing beside them in its sum.
    package init(
      dO: TokenRows, dq: MutableTokenRows, logSum: UnsafePointer<Float>,
      delta: UnsafePointer<Float>, dLogSums: UnsafeMutablePointer<Double>? = nil, sumsToOne: Bool
    ) {
      (self.dO, self.dq, self.logSum, self.delta) = (dO, dq, logSum, delta)
      (self.dLogSums, self.sumsToOne) = (dLogSums, sumsToOne)
    }
  }

  /// `delta_t = Σ dO_t ⊙ O_t` of some tokens; of `dO` as products read it, so that a query's only key gets no gradient.
  package func deltas(
    _ o: TokenRows, _ dO: TokenRows, into delta: UnsafeMutablePointer<Float>, tokens: Range<Int>
  ) {
    for token in tokens {
      let (o, dO) = (o[token], dO[token])
      guard operands == .bfloat16 else {
        delta[token] = Rows.dot(o, dO, count: valueDimension)
        continue
      }
      var sum = Lanes()
      for i in stride(from: 0, to: valueDimension, by: Lanes.width) {
        let n = min(Lanes.width, valueDimension - i)
        let rounded = Lanes(bitsOfBFloat16: Lanes.load(dO + i, count: n).bitsOfBFloat16)
        sum = sum.addingProduct(Lanes.load(o + i, count: n), rounded)
      }
      delta[token] = sum.sum()
    }
  }

  /// The gradients that a block of keys and values gets from all queries, and gives to them.
  ///
  /// Concretely, with `P = e^(scale Q Kᵀ − logSum)`: `dV += Pᵀ dO`; `dS = scale P ⊙ (dO Vᵀ − delta)`;
  /// `dK += dSᵀ Q`; `dQ += dS K`; and where scores have sums of log gates, their gradients. The `delta` of a query
  /// that sees keys of one tile only is worked out of that tile's `dO Vᵀ`, relative to its most probable key: what they are
  /// rounded by then leaves the difference where one key has almost all of the sum, and an only key's gradient is exactly 0.
  ///
  /// - Parameters:
  ///   - dk: The block's gradients, added to; heads that share it must run one after another. `dv` likewise.
  ///   - dLogSums: The gradients of the keys' sums of log gates, added to; nil where there are none.
  ///   - scratch: `scratchCount` floats.
  package func backward(
    _ keys: Keys, _ queries: Queries, _ gradients: Gradients, dk: MutableTokenRows,
    dv: MutableTokenRows, dLogSums: MutableTokenRows? = nil, tiles: Range<Int>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    let x = self.scratch(scratch)
    let d = dimension
    for tile in tiles {
      let view = TileView(queries, keys, tile: tile)
      let bias = ForgettingBias(queries, keys, view, scratch: x.gates)
      let seen = bias?.seen ?? view.keys
      guard !seen.isEmpty else { continue }
      let n = view.count
      packQueries(queries.q, view, into: x)
      packGradients(gradients.dO, queries.q, view, into: x)
      for start in stride(from: seen.lowerBound, to: seen.upperBound, by: Self.keyTile) {
        let count = min(Self.keyTile, seen.upperBound - start)
        formScores(keys.k, from: start, count: count, queries: n, x)
        bias?.add(to: x.p, from: start, count: count)
        view.mask(x.p, from: start, count: count)
        formGradients(keys.v, from: start, count: count, queries: n, x)
        scoreGradients(
          x.p, x.dP, keys: count, queries: n, logSum: gradients.logSum + view.start,
          delta: gradients.delta + view.start,
          whole: gradients.sumsToOne ? view.whole(from: start, count: count) : 0..<0)
        if let bias, let dLogSums, let queries = gradients.dLogSums {
          bias.addGradients(
            x.dP, scale: scale, from: start, count: count, keys: dLogSums, queries: queries)
        }
        addToKeys(
          x.p, gradients.dO, x.pairs.gradients, columns: valueDimension, view, into: dv,
          from: start, count: count, x)
        addToKeys(
          x.dP, queries.q, x.pairs.queries, columns: d, view, into: dk, from: start, count: count,
          x)
        addToQueries(
          x.dP, keys.k, columns: d, from: start, count: count, queries: n, x,
          store: start == seen.lowerBound ? .replace : .add)
      }
      Rows.add(
        x.o, stride: x.ldD, rows: n, columns: d, into: gradients.dq[view.start],
        ld: gradients.dq.stride)
    }
  }

  /// `p ← e^(p − logSum)` and `dP ← scale p ⊙ (dP − delta)`.
  ///
  /// - Parameter whole: Queries whose keys are all here, which have their `delta` from here.
  private func scoreGradients(
    _ p: UnsafeMutablePointer<Float>, _ dP: UnsafeMutablePointer<Float>, keys: Int, queries: Int,
    logSum: UnsafePointer<Float>, delta: UnsafePointer<Float>, whole: Range<Int>
  ) {
    let factor = Lanes(repeating: scale)
    var j = 0
    while j < queries {
      let n = min(Lanes.width, queries &- j)
      let sum = Lanes.load(logSum + j, count: n)
      // What is taken from dP is `anchor + mean`: two numbers, whose sum would be rounded.
      var (anchor, mean) = (Lanes(), Lanes.load(delta + j, count: n))
      for i in 0..<keys {
        let place = p + (i &* Self.tile &+ j)
        Lanes.exp(Lanes.load(place) - sum).store(place)
      }
      if whole.overlaps(j..<j &+ n) {
        let own = Self.means(p + j, dP + j, keys: keys)
        for lane in 0..<n where whole.contains(j &+ lane) {
          (anchor[lane], mean[lane]) = (own.anchor[lane], own.mean[lane])
        }
      }
      for i in 0..<keys {
        let (place, gradient) = (p + (i &* Self.tile &+ j), dP + (i &* Self.tile &+ j))
        (factor * Lanes.load(place) * (Lanes.load(gradient) - anchor - mean)).store(gradient)
      }
      j &+= Lanes.width
    }
  }

  /// The gradient of each query's most probable key, and the mean of what the others' differ from it by, in a register.
  private static func means(
    _ p: UnsafePointer<Float>, _ dP: UnsafePointer<Float>, keys: Int
  ) -> (anchor: Lanes, mean: Lanes) {
    var (greatest, anchor) = (Lanes(), Lanes())
    for i in 0..<keys {
      let e = Lanes.load(p + i &* tile)
      anchor = anchor.replacing(with: Lanes.load(dP + i &* tile), where: e .> greatest)
      greatest = greatest.replacing(with: e, where: e .> greatest)
    }
    var (total, products) = (Lanes(), Lanes())
    for i in 0..<keys {
      let e = Lanes.load(p + i &* tile)
      total = total + e
      products = products.addingProduct(e, Lanes.load(dP + i &* tile) - anchor)
    }
    return (anchor, products / total)
  }
}
