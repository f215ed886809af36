import Kernels
import ReferenceMath
import SequenceParallel
import Testing

/// A random recurrence over a random partition, all of it decided by a seed.
struct RecurrenceCase: CustomStringConvertible, Sendable {
  /// Every recurrence that there is.
  enum Kind: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case noDecay, fixedDecay, scalarDecay, vectorDecay, squaredProducts
    case deltaRule, gatedDeltaRule, deltaRuleWithVectorDecay
    case valueDecay, gatedSlots
    case deltaProduct, gatedDeltaProduct
    case exclusiveVectorDecay
    case lowRank, lowRankWithScalarDecay, lowRankWithVectorDecay
    case normalized, normalizedScalarDecay, normalizedVectorDecay, normalizedSquares

    var testDescription: String { rawValue }

    /// Log decays from data of a head, for the rows of its state; 0 without.
    func gates(_ rows: Int) -> Int {
      switch self {
      case .noDecay, .fixedDecay, .squaredProducts, .deltaRule, .lowRank, .deltaProduct,
        .normalized, .normalizedSquares:
        0
      case .scalarDecay, .gatedDeltaRule, .lowRankWithScalarDecay, .gatedDeltaProduct,
        .normalizedScalarDecay:
        1
      case .vectorDecay, .deltaRuleWithVectorDecay, .valueDecay, .gatedSlots,
        .lowRankWithVectorDecay, .exclusiveVectorDecay, .normalizedVectorDecay:
        rows
      }
    }

    /// Numbers of a query and of a key, for a key dimension: fewer where the state holds their monomials.
    func keyWidth(_ keyDimension: Int) -> Int {
      guard hasSquares else { return keyDimension }
      return (1...keyDimension).first { $0 * ($0 + 1) / 2 == keyDimension }!
    }

    /// Whether weights are squares of products.
    var hasSquares: Bool { self == .squaredProducts || self == .normalizedSquares }

    /// Whether outputs are divided by the sum of their weights.
    var isNormalized: Bool {
      switch self {
      case .normalized, .normalizedScalarDecay, .normalizedVectorDecay, .normalizedSquares: true
      default: false
      }
    }

    var isDelta: Bool {
      switch self {
      case .deltaRule, .gatedDeltaRule, .deltaRuleWithVectorDecay, .deltaProduct,
        .gatedDeltaProduct:
        true
      default: false
      }
    }

    /// Whether it takes several steps a token.
    var isStepped: Bool { self == .deltaProduct || self == .gatedDeltaProduct }

    var isLowRank: Bool {
      switch self {
      case .lowRank, .lowRankWithScalarDecay, .lowRankWithVectorDecay: true
      default: false
      }
    }

    /// The program's kernel.
    func kernel(
      keyDimension: Int, valueDimension: Int, slots: Int, scale: Float
    ) -> any RecurrenceKernel {
      let normalizer = isNormalized ? RecurrenceCase.epsilon : nil
      func diagonal(_ decay: DiagonalRecurrence.Decay) -> any RecurrenceKernel {
        DiagonalRecurrence(
          decay, keyDimension: keyDimension, valueDimension: valueDimension, scale: scale,
          normalizer: normalizer)
      }
      func delta(_ gate: DeltaRecurrence.Decay) -> any RecurrenceKernel {
        DeltaRecurrence(
          gate, keyDimension: keyDimension, valueDimension: valueDimension, scale: scale)
      }
      func lowRank(_ decay: LowRankRecurrence.Decay) -> any RecurrenceKernel {
        LowRankRecurrence(
          decay, keyDimension: keyDimension, valueDimension: valueDimension, scale: scale)
      }
      return switch self {
      case .noDecay, .normalized: diagonal(.none)
      case .fixedDecay: diagonal(.fixed)
      case .scalarDecay, .normalizedScalarDecay: diagonal(.scalar)
      case .vectorDecay, .normalizedVectorDecay: diagonal(.vector)
      case .squaredProducts, .normalizedSquares:
        DiagonalRecurrence(
          squaresOf: keyWidth(keyDimension), valueDimension: valueDimension, scale: scale,
          normalizer: normalizer)
      case .deltaRule, .deltaProduct: delta(.none)
      case .gatedDeltaRule, .gatedDeltaProduct: delta(.scalar)
      case .exclusiveVectorDecay:
        DiagonalRecurrence(
          .vector, keyDimension: keyDimension, valueDimension: valueDimension, scale: scale,
          isExclusive: true)
      case .deltaRuleWithVectorDecay: delta(.vector)
      case .valueDecay: diagonal(.value)
      case .lowRank: lowRank(.none)
      case .lowRankWithScalarDecay: lowRank(.scalar)
      case .lowRankWithVectorDecay: lowRank(.vector)
      case .gatedSlots:
        GatedSlotRecurrence(keyWidth: keyDimension, valueWidth: valueDimension, slots: slots)
      }
    }
  }

  /// What is added to denominators.
  static let epsilon: Float = 1e-3

  let kind: Kind
  let seed: UInt64
  /// Tokens of each rank.
  let shards: [Int]
  let rows: Int
  /// Heads of each input; `state` is the most of them.
  let heads: (query: Int, key: Int, value: Int, gate: Int, state: Int)
  /// Numbers of a key and of a value; slots of the kind that has them, else 0.
  let keyDimension: Int, valueDimension: Int, slots: Int
  let scale: Float
  /// Steps a token.
  let steps: Int
  /// Of each row, ascending.
  let documentStarts: [[Int]]
  /// Of each row, `[T, heads · width]`, k, v and beta `[T, steps · heads · width]`; `g` and `beta` of no columns where the kind has none.
  let q: [Matrix], k: [Matrix], v: [Matrix], g: [Matrix], beta: [Matrix]
  /// Of each row, `[T, heads · K]`, with the heads of k and of the state; of no columns where the kind has none.
  let a: [Matrix], b: [Matrix]
  /// Of each head of the state; empty but for fixed decay.
  let logDecay: [Float]
  /// State before the first token, `[rows, heads]` of the state's shape; nil for zero.
  let initial: [Float]?
  /// Gradient of the outputs, of each row `[T, heads · V]`.
  let dO: [Matrix]
  /// Gradient of the state after the last token, likewise; nil for zero.
  let dFinal: [Float]?
  private let regime: String

  /// Numbers of all maps `M` that a message must hold; 0 where the layout tells them.
  var mapCount: Int {
    switch kind {
    case .noDecay, .fixedDecay, .squaredProducts, .normalized, .normalizedSquares: 0
    case .scalarDecay, .normalizedScalarDecay: rows * heads.state
    case .vectorDecay, .valueDecay, .gatedSlots, .exclusiveVectorDecay, .normalizedVectorDecay:
      rows * heads.state * stateShape.rows
    default:
      rows * heads.state * keyDimension * keyDimension
    }
  }

  /// Whether all gradients are more than rounding: a quotient over one token is its value, whatever the weight.
  var isConditioned: Bool { !kind.isNormalized || tokens >= 12 }

  /// Tokens of a row.
  var tokens: Int { shards.reduce(0, +) }
  /// Numbers of all states.
  var stateCount: Int { rows * heads.state * stateShape.rows * stateShape.columns }
  /// Rows and columns of a state: `[K, V]`, or what the kind says.
  var stateShape: (rows: Int, columns: Int) {
    Self.stateShape(kind, keyDimension, valueDimension, slots)
  }

  private static func stateShape(
    _ kind: Kind, _ K: Int, _ V: Int, _ slots: Int
  ) -> (rows: Int, columns: Int) {
    switch kind {
    case .valueDecay: (V, K)
    case .gatedSlots: (slots, K + V)
    default: (K, kind.isNormalized ? V + 1 : V)
    }
  }

  var description: String {
    "seed \(seed) of \(kind): shards \(shards), \(rows) rows, documents at \(documentStarts), heads "
      + "\(heads), K \(keyDimension), V \(valueDimension), \(slots) slots, \(steps) steps, scale \(scale), gates \(regime), "
      + "initial state \(initial != nil), gradient of the final state \(dFinal != nil)"
  }

  /// Draws a case.
  ///
  /// - Parameter evenly: Tokens of a row, cut evenly over ranks; nil to draw the partition too.
  init(_ kind: Kind, seed: UInt64, evenly: (tokens: Int, ranks: Int)? = nil) {
    (self.kind, self.seed) = (kind, seed)
    var draws = Draws(seed: seed)
    let sizes = [1, 2, 3, 4, 7, 8, 16, 17, 33]
    // A quotient does not see how long keys of few numbers are, and their gradients cancel to nothing.
    let K = draws.one(
      of: (kind.hasSquares ? [1, 3, 6, 10, 28, 36, 136, 153] : sizes).filter {
        !kind.isNormalized || $0 >= 4
      })
    // A state of one number may have a gradient that cancels to nothing.
    let V = draws.one(of: sizes.filter { $0 * K >= 6 && $0 * K <= max(300, 3 * K) })
    shards =
      evenly.map { SequenceLayout.evenShards(tokens: $0.tokens, ranks: $0.ranks) }
      ?? Self.partition(&draws)
    let T = shards.reduce(0, +)
    rows = draws.integer(1...3)
    let state = draws.one(of: [1, 2, 4])
    let share = draws.one(of: [1, 2, state].filter { state % $0 == 0 })
    let few = state / share
    // Fewer keys and values than queries, or fewer queries and keys than values.
    let (query, key, value) = draws.uniform() < 0.5 ? (state, few, few) : (few, few, state)
    let gate = draws.one(of: [key, state])
    heads = (query, key, value, gate, state)
    (keyDimension, valueDimension) = (K, V)
    slots = kind == .gatedSlots ? draws.one(of: sizes.filter { $0 > 1 }) : 0
    let stateShape = Self.stateShape(kind, K, V, slots)
    scale = draws.one(of: [1, 1 / Float(K).squareRoot()])
    let packs = draws.uniform() < 0.5
    let rows = rows
    documentStarts = (0..<rows).map { _ in
      packs && T > 0
        ? Set((0..<draws.integer(0...5)).map { _ in draws.integer(0...T - 1) }).sorted() : []
    }
    func matrices(_ columns: Int) -> [Matrix] {
      (0..<rows).map { _ in Matrix(T, columns, draws.normals(T * columns)) }
    }
    steps = kind.isStepped ? draws.integer(1...4) : 1
    let W = kind.keyWidth(K)
    q = matrices(query * W).map { kind.isNormalized ? Self.positive($0) : $0 }
    k = matrices(steps * key * W).map {
      kind.isDelta ? Self.unitKeys($0, width: W) : kind.isNormalized ? Self.positive($0) : $0
    }
    v = matrices(steps * value * V)
    dO = matrices(state * V)
    let regimes = ["slow", "middling", "0", "fast", "resets", "−∞", "−8", "mixed"]
    // Likewise where a token remembers next to nothing but itself, and the quotient is its value.
    let regime =
      kind.gates(stateShape.rows) > 0
      ? draws.one(of: kind.isNormalized ? regimes.filter { $0 != "−8" } : regimes) : "absent"
    self.regime = regime
    let steps = steps
    let gates = kind.gates(stateShape.rows) * gate
    g = (0..<rows).map { _ in
      Matrix(
        T, gates,
        (0..<T * gates).map { index in
          // Slots that are all overwritten by one token have one key, and queries no gradient but rounding.
          let isSlow = kind == .gatedSlots && index % stateShape.rows % 2 == 0
          return Self.logDecay(isSlow ? "middling" : regime, &draws)
        })
    }
    let most: Float = draws.one(of: [1, 2])
    beta = (0..<rows).map { _ in
      let columns = kind.isDelta ? steps * state : 0
      return Matrix(T, columns, (0..<T * columns).map { _ in most * Float(draws.uniform()) })
    }
    logDecay = kind == .fixedDecay ? (0..<state).map { _ in -Float(draws.uniform()) } : []
    let count = rows * state * stateShape.rows * stateShape.columns
    let isInitialGiven = draws.uniform() < 0.6
    initial =
      isInitialGiven
      ? draws.normals(count).enumerated().map { index, x in
        kind.isNormalized && index % stateShape.columns == V ? abs(x) + 0.1 : x
      } : nil
    dFinal = draws.uniform() < 0.6 ? draws.normals(count) : nil
    (a, b) = Self.transitions(kind, rows: rows, tokens: T, heads: (key, state), K, &draws)
  }

  /// Low-rank transitions for which no state grows much: steps along a unit key against the delta rule's, or anything
  /// small.
  private static func transitions(
    _ kind: Kind, rows: Int, tokens T: Int, heads: (key: Int, state: Int), _ K: Int,
    _ draws: inout Draws
  ) -> (a: [Matrix], b: [Matrix]) {
    var all: (a: [Matrix], b: [Matrix]) = ([], [])
    let erases = draws.uniform() < 0.5
    for _ in 0..<rows {
      let (few, most) = kind.isLowRank ? (heads.key * K, heads.state * K) : (0, 0)
      var a = Matrix(T, few, draws.normals(T * few))
      var b = Matrix(T, most, draws.normals(T * most))
      if erases {
        let steps = Matrix(
          T, heads.state, (0..<T * heads.state).map { _ in Float(draws.uniform()) })
        a = unitKeys(a, width: K)
        b = Matrix(T, most) { t, c in
          let head = c / K
          let key = a[t, head / (heads.state / heads.key) * K + c % K]
          return Double(Float(-steps[t, head] * key))
        }
      } else {
        let factor = 0.2 / Double(K).squareRoot()
        a = Matrix(T, few) { Double(Float(factor * a[$0, $1])) }
        b = Matrix(T, most) { Double(Float(factor * b[$0, $1])) }
      }
      all.a.append(a)
      all.b.append(b)
    }
    return all
  }

  /// Up to 8 shards: all alike, anything, or mostly of none and one token.
  static func partition(_ draws: inout Draws) -> [Int] {
    let ranks = draws.integer(1...8)
    switch draws.integer(0...3) {
    case 0: return SequenceLayout.evenShards(tokens: draws.integer(0...200), ranks: ranks)
    case 1: return (0..<ranks).map { _ in draws.one(of: [0, 0, 1, 1, 2, 40]) }
    default: return (0..<ranks).map { _ in draws.integer(0...60) }
    }
  }

  /// Keys of length 1, for which no step up to 2 lets the state grow.
  ///
  /// A single channel's are shorter: a step near β k² = 1 erases all of the state, and what is left
  /// is rounding.
  private static func unitKeys(_ keys: Matrix, width: Int) -> Matrix {
    Matrix(keys.rows, keys.columns) { t, c in
      let head = c / width * width..<(c / width + 1) * width
      let norm = head.reduce(0) { $0 + keys[t, $1] * keys[t, $1] }.squareRoot()
      return Double(Float((width == 1 ? 0.6 : 1) * keys[t, c] / norm))
    }
  }

  /// Queries and keys whose weights have a sum to divide by.
  private static func positive(_ x: Matrix) -> Matrix {
    Matrix(x.rows, x.columns) { Double(Float(abs(x[$0, $1]) + 0.1)) }
  }

  static func logDecay(_ regime: String, _ draws: inout Draws) -> Float {
    let u = Float(draws.uniform())
    return switch regime {
    case "0": 0
    case "slow": -0.02 * u
    case "middling": -0.5 * u
    case "fast": -2 * u
    case "resets": draws.uniform() < 0.05 ? -30 : -0.1 * u
    case "−∞": draws.uniform() < 0.05 ? -.infinity : -0.1 * u
    case "−8": -8 - u
    default: draws.one(of: [0, -0.001, -0.5, -5, -50, -1000])
    }
  }
}
