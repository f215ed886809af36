import Autodiff
import Kernels
import ReferenceMath
import SequenceParallel
import Tensors
import Testing

/// A random layer of softmax attention in a window and linear attention to what it has left behind.
private struct LinearisedCase {
  var test: SequenceCase
  let dimension, heads, keyHeads, features: Int
  let span: AttentionSpan
  /// Whether the linear part is weighed by what the window's factor leaves.
  let isAffine: Bool

  init(seed: UInt64, isTerraced: Bool, mostTokens: Int = 24) {
    test = SequenceCase(seed: seed, mostTokens: mostTokens)
    dimension = [2, 8, 20].randomElement(using: &test.random)!
    keyHeads = Int.random(in: 1...2, using: &test.random)
    heads = keyHeads * Int.random(in: 1...3, using: &test.random)
    features = [1, 3, 8].randomElement(using: &test.random)!
    let width = [1, 2, 5, 17, 1000].randomElement(using: &test.random)!
    span = isTerraced ? .terraced(width) : .sliding(width)
    isAffine = Bool.random(using: &test.random)
  }

  var outputs: Int { heads * dimension }
  var columns: Int { (heads + 2 * keyHeads) * dimension }
  var scale: Double { 1 / Double(dimension).squareRoot() }

  /// The maps of queries and keys, and the window's factors.
  var table: ParameterTable {
    var table = ParameterTable.oneRegion
    for name in ["q", "k"] {
      _ = table.add(
        name, [heads, dimension, features], role: .matrix, initialization: .constant(0))
    }
    _ = table.add("factors", [1, heads, 1, 1], role: .bias, initialization: .constant(0))
    return table
  }

  func run(
    x: [Float], dy: [Float], weights: [Float], exchange: ExchangeKind, recomputes: Bool? = nil,
    runsTwice: Bool = false
  ) throws -> SequenceCase.Result {
    let (d, outputs, width) = (dimension, outputs, keyHeads * dimension)
    let (heads, keyHeads, features, span) = (heads, keyHeads, features, span)
    let (table, isAffine) = (table, isAffine)
    let (qMap, kMap, factors) = (
      table.parameter(named: "q")!, table.parameter(named: "k")!, table.parameter(named: "factors")!
    )
    return try test.run(
      x: x, columns: columns, dy: dy, outputs: outputs, table: table, weights: weights,
      exchange: exchange, recomputes: recomputes, runsTwice: runsTwice
    ) { tape, x, pass in
      let q = tape.columns(x, 0..<outputs)
      let recent = try tape.recentTokens(
        k: tape.columns(x, outputs..<outputs + width),
        v: tape.columns(x, outputs + width..<outputs + 2 * width), span: span, leaving: true,
        slot: CarrySlot(layer: 2, .window), pass: pass)
      let window = try tape.windowSums(q: q, recent: recent, span: span, dimension: d)
      func map(_ x: Variable, _ weight: Parameter) -> Variable {
        tape.positiveFeatures(
          tape.headProjection(x, weight: weight), .softmax, width: features)
      }
      let left = tape.leavingTokens(recent, span: span, heads: keyHeads)
      var linear = try tape.leavingAttention(
        q: map(q, qMap), k: map(left.k, kMap), v: left.v, recent: recent, span: span,
        heads: heads, valueHeads: keyHeads, slot: CarrySlot(layer: 2, .state(0)))
      if isAffine { linear = tape.headScale(linear, factors, factor: .complementOfSigmoid) }
      let sums = tape.headScale(window, factors, factor: .sigmoid, adding: linear)
      return tape.normalized(sums, heads: heads, epsilon: 0)
    }
  }

  /// Which keys each query of a row has in its window, and which it sees by the linear part.
  fileprivate func masks(_ row: Int) -> (near: Matrix, far: Matrix) {
    func isNear(_ i: Int, _ j: Int) -> Bool {
      switch span {
      case .sliding(let width): return i - j < width
      case .terraced(let width):
        let start = test.starts[row].filter { $0 <= i }.max() ?? 0
        return (i - start) / width - (j - start) / width <= 1
      }
    }
    func mask(_ wanted: Bool) -> Matrix {
      Matrix(test.tokens, test.tokens) { i, j in
        j <= i && test.isSameDocument(row, j, i) && isNear(i, j) == wanted ? 1 : 0
      }
    }
    return (mask(true), mask(false))
  }

  /// The same over whole sequences in Double, with all pairs of tokens written out.
  func reference(
    x: [Float], dy: [Float], weights: [Float]
  ) -> (y: [Double], dx: [Double], weights: [Double]) {
    let (d, f, tokens) = (dimension, features, test.tokens)
    func matrices(_ first: Int, _ rows: Int, _ columns: Int) -> [Term] {
      (0..<heads).map { head in
        Term(
          Matrix(rows, columns) {
            Double(weights[first + (head * rows + $0) * columns + $1])
          })
      }
    }
    let count = heads * d * f
    let (qMaps, kMaps) = (matrices(0, d, f), matrices(count, d, f))
    let factors = matrices(2 * count, 1, 1)
    var (y, dx) = ([Double](), [Double]())
    for row in 0..<test.rows {
      let input = Term(
        Matrix(tokens, columns) { Double(x[(row * tokens + $0) * columns + $1]) })
      let masks = masks(row)
      let o = Term.concatenated(
        (0..<heads).map { head in
          let key = head / (heads / keyHeads)
          let q = input.head(head, width: d)
          let k = input.head(heads + key, width: d)
          let mu = factors[head].sigmoid
          return .windowAndLinear(
            q: q, k: k, v: input.head(heads + keyHeads + key, width: d),
            features: (
              q.times(qMaps[head]).mirroredSoftmaxes, k.times(kMaps[head]).mirroredSoftmaxes
            ), scale: scale,
            factors: (
              mu, isAffine ? mu.scaled(by: -1).plus(1) : Term(Matrix(1, 1, repeating: 1))
            ), near: masks.near, far: masks.far)
        })
      o.backward(
        Matrix(tokens, outputs) { Double(dy[(row * tokens + $0) * outputs + $1]) })
      y += o.matrix.numbers
      dx += input.gradient.numbers
    }
    return (y, dx, (qMaps + kMaps + factors).flatMap { $0.gradient.numbers })
  }
}

@Suite("Attention in a window and linear attention to the rest, over one denominator")
struct LinearisedAttentionTests {
  private static func numbers(_ test: inout LinearisedCase) -> (x: [Float], dy: [Float], w: [Float])
  {
    let (x, dy) = (test.test.numbers(test.columns), test.test.numbers(test.outputs))
    let weights = (0..<test.table.count).map { _ in
      Float.random(in: -1...1, using: &test.test.random)
    }
    return (x, dy, weights)
  }

  @Test(
    "any partition, documents, segments and exchange", arguments: [false, true],
    0..<40 as Range<UInt64>)
  func agreesWithReference(isTerraced: Bool, seed: UInt64) throws {
    for exchange in ExchangeKind.allCases {
      var test = LinearisedCase(
        seed: seed, isTerraced: isTerraced, mostTokens: seed % 20 == 19 ? 100 : 24)
      let (x, dy, weights) = Self.numbers(&test)
      let result = try test.run(x: x, dy: dy, weights: weights, exchange: exchange)
      let right = test.reference(x: x, dy: dy, weights: weights)
      #expect(distance(result.y, right.y) < 1e-5, "\(exchange): \(test)")
      #expect(distance(result.dx, right.dx) < 1e-5, "\(exchange): \(test)")
      // Where the window sees everything, the weights have no gradients at all.
      let scale = right.dx.reduce(0) { $0 + $1 * $1 }.squareRoot()
      #expect(
        relativeError(result.weights, right.weights, normAtLeast: 0.1 * scale) < 1e-5,
        "\(exchange): \(test)")
    }
  }

  @Test(
    "running a region or a segment again, or both, sends nothing", arguments: [false, true],
    100..<110 as Range<UInt64>)
  func recomputationIsSilent(isTerraced: Bool, seed: UInt64) throws {
    var test = LinearisedCase(seed: seed, isTerraced: isTerraced)
    let (x, dy, weights) = Self.numbers(&test)
    func run(recomputes: Bool, runsTwice: Bool) throws -> SequenceCase.Result {
      try test.run(
        x: x, dy: dy, weights: weights, exchange: .chain, recomputes: recomputes,
        runsTwice: runsTwice)
    }
    let once = try run(recomputes: false, runsTwice: false)
    for (recomputes, runsTwice) in [(true, false), (false, true), (true, true)] {
      let again = try run(recomputes: recomputes, runsTwice: runsTwice)
      #expect(once.bytes == again.bytes && once.messages == again.messages, "\(test)")
      #expect(once.stateBytes == again.stateBytes, "\(test)")
      #expect(once.y == again.y && once.dx == again.dx, "\(test)")
    }
  }

  @Test(
    "token by token is the same as all at once", arguments: [false, true],
    200..<212 as Range<UInt64>)
  func tokenByToken(isTerraced: Bool, seed: UInt64) throws {
    var test = LinearisedCase(seed: seed, isTerraced: isTerraced)
    (test.test.ranks, test.test.segments) = (1, [[5]] + [[Int]](repeating: [1], count: 35))
    let (x, dy, weights) = Self.numbers(&test)
    let result = try test.run(x: x, dy: dy, weights: weights, exchange: .chain)
    let right = test.reference(x: x, dy: dy, weights: weights)
    #expect(distance(result.y, right.y) < 1e-5, "\(test)")
    #expect(distance(result.dx, right.dx) < 1e-5, "\(test)")
  }

  @Test(
    "meta tokens beside the window are in one softmax with it",
    arguments: 400..<440 as Range<UInt64>)
  func metaTokens(seed: UInt64) throws {
    var test = LinearisedCase(seed: seed, isTerraced: false)
    let m = Int.random(in: 1...4, using: &test.test.random)
    let (x, dy) = (test.test.numbers(test.columns), test.test.numbers(test.outputs))
    var table = ParameterTable.oneRegion
    let meta = ["k", "v"].map {
      table.add($0, [m, test.heads, test.dimension], role: .matrix, initialization: .constant(0))
    }
    let weights = (0..<table.count).map { _ in
      Float.random(in: -1...1, using: &test.test.random)
    }
    let (d, outputs, width, span) = (
      test.dimension, test.outputs, test.keyHeads * test.dimension, test.span
    )
    let result = try test.test.run(
      x: x, columns: test.columns, dy: dy, outputs: outputs, table: table, weights: weights
    ) { tape, x, pass in
      let recent = try tape.recentTokens(
        k: tape.columns(x, outputs..<outputs + width),
        v: tape.columns(x, outputs + width..<outputs + 2 * width), span: span, leaving: false,
        slot: CarrySlot(layer: 2, .window), pass: pass)
      return try tape.windowAttention(
        q: tape.columns(x, 0..<outputs), recent: recent, span: span, meta: (meta[0], meta[1]),
        dimension: d)
    }
    let right = test.metaReference(x: x, dy: dy, weights: weights, meta: m)
    #expect(distance(result.y, right.y) < 1e-5, "\(test)")
    #expect(distance(result.dx, right.dx) < 1e-5, "\(test)")
    #expect(distance(result.weights, right.weights) < 1e-5, "\(test)")
  }
}

extension LinearisedCase {
  /// One softmax over the window and over `m` keys that all queries see, in Double.
  fileprivate func metaReference(
    x: [Float], dy: [Float], weights: [Float], meta m: Int
  ) -> (y: [Double], dx: [Double], weights: [Double]) {
    let (d, tokens) = (dimension, test.tokens)
    let all = (0..<2).map { part in
      Term(Matrix(m, outputs) { Double(weights[(part * m + $0) * outputs + $1]) })
    }
    var (y, dx) = ([Double](), [Double]())
    for row in 0..<test.rows {
      let input = Term(
        Matrix(tokens, columns) { Double(x[(row * tokens + $0) * columns + $1]) })
      let near = Term(masks(row).near)
      let o = Term.concatenated(
        (0..<heads).map { head in
          let key = head / (heads / keyHeads)
          let q = input.head(head, width: d).scaled(by: scale)
          let own = q.times(input.head(heads + key, width: d).transposed).exp * near
          let extra = q.times(all[0].head(head, width: d).transposed).exp
          func sums(_ v: Term, _ e: Term) -> Term { own.times(v) + extra.times(e) }
          func ones(_ rows: Int) -> Term { Term(Matrix(rows, 1, repeating: 1)) }
          let inverse = sums(ones(tokens), ones(m)).map({ 1 / $0 }) { x, _ in -1 / (x * x) }
          return sums(
            input.head(heads + keyHeads + key, width: d), all[1].head(head, width: d))
            * inverse.spread(d)
        })
      o.backward(
        Matrix(tokens, outputs) { Double(dy[(row * tokens + $0) * outputs + $1]) })
      y += o.matrix.numbers
      dx += input.gradient.numbers
    }
    return (y, dx, all.flatMap { $0.gradient.numbers })
  }
}
