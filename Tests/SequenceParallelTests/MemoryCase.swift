import Autodiff
import Kernels
import ReferenceMath
import SequenceParallel
import Tensors

/// A random layer of memories over a random way to process sequences.
struct MemoryCase {
  enum Kind: CaseIterable { case gatedDelta, vectorDecay, noDecay }

  let kind: Kind
  let sequence: SequenceCase
  let memories, chosen: Int
  let hasShared: Bool
  let width = 5
  let heads, keyDimension, valueDimension, taps: Int
  let x, dy: [Float]
  let weights: [Float]
  private(set) var table = ParameterTable.oneRegion
  private var names: [String: Parameter] = [:]

  init(_ kind: Kind, seed: UInt64) {
    var sequence = SequenceCase(seed: seed, mostTokens: seed % 7 == 6 ? 150 : 24)
    func pick(_ limits: ClosedRange<Int>) -> Int {
      Int.random(in: limits, using: &sequence.random)
    }
    let memories = pick(1...5)
    let chosen = pick(1...memories)
    let hasShared = pick(0...1) == 0
    let (heads, keyDimension) = (pick(1...2), pick(2...4))
    let (valueDimension, taps) = (pick(2...5), pick(1...5))
    let (K, V) = (heads * keyDimension, heads * valueDimension)
    let gates = kind == .vectorDecay ? K : heads
    var shapes: [(String, Shape)] = [
      ("router", [memories, width]), ("q", [K, width]), ("g", [gates, width]),
      ("beta", [heads, width]), ("taps q", [K, 1, taps]), ("taps k", [K, 1, taps]),
      ("taps v", [V, 1, taps]),
    ]
    for group in 0..<memories + (hasShared ? 1 : 0) {
      shapes += [("k \(group)", [K, width]), ("v \(group)", [V, width])]
    }
    for (name, shape) in shapes {
      names[name] = table.add(name, shape, role: .matrix, initialization: .constant(0))
    }
    weights = (0..<table.count).map { _ in Float.random(in: -1...1, using: &sequence.random) }
    (x, dy) = (sequence.numbers(width), sequence.numbers(V))
    (self.kind, self.sequence, self.memories, self.chosen) = (kind, sequence, memories, chosen)
    (self.hasShared, self.heads, self.keyDimension) = (hasShared, heads, keyDimension)
    (self.valueDimension, self.taps) = (valueDimension, taps)
  }

  private var groups: Int { memories + (hasShared ? 1 : 0) }

  // MARK: The program's

  private var kernel: any RecurrenceKernel {
    let (K, V) = (keyDimension, valueDimension)
    return switch kind {
    case .gatedDelta: DeltaRecurrence(.scalar, keyDimension: K, valueDimension: V, scale: 0.7)
    case .vectorDecay: DiagonalRecurrence(.vector, keyDimension: K, valueDimension: V, scale: 0.7)
    case .noDecay: DiagonalRecurrence(.none, keyDimension: K, valueDimension: V, scale: 0.7)
    }
  }

  func run(
    _ exchange: ExchangeKind, recomputes: Bool? = nil, runsTwice: Bool = false
  ) throws -> SequenceCase.Result {
    let (names, kernel, kind, keyDimension) = (names, kernel, kind, keyDimension)
    let (memories, groups, chosen, hasShared) = (memories, groups, chosen, hasShared)
    return try sequence.run(
      x: x, columns: width, dy: dy, outputs: heads * valueDimension, table: table,
      weights: weights, exchange: exchange, recomputes: recomputes, runsTwice: runsTwice
    ) { tape, x, pass in
      func weight(_ name: String) -> Parameter { names[name]! }
      let choice = try tape.routing(
        x, weight("router"), RoutingRule(experts: memories, chosen: chosen))
      let routing = hasShared ? choice.takingAll(in: tape.workspace) : choice
      let subsequences = Subsequences(routing, layout: pass.layout, in: tape.workspace)
      let rows = tape.spread(x, routing)
      func project(_ name: String) throws -> Variable {
        try tape.linear(rows, routing.groups((0..<groups).map { weight("\(name) \($0)") }))
      }
      var mixed = try tape.shortConvolutions(
        [
          ConvolutionInput(
            tape.spread(try tape.linear(x, weight("q")), routing), weight: weight("taps q")),
          ConvolutionInput(try project("k"), weight: weight("taps k")),
          ConvolutionInput(try project("v"), weight: weight("taps v")),
        ], activation: .silu, of: subsequences, slot: CarrySlot(layer: 2, .halo(0)), pass: pass)
      if kind == .gatedDelta {
        for i in 0..<2 { mixed[i] = tape.l2Norm(mixed[i], width: keyDimension) }
      }
      var inputs = RecurrenceInputs(q: mixed[0], k: mixed[1], v: mixed[2])
      if kind != .noDecay {
        inputs.g = tape.logSigmoidGate(try tape.linear(rows, weight("g")), divisor: 4)
      }
      if kind == .gatedDelta {
        inputs.beta = tape.sigmoid(try tape.linear(rows, weight("beta")))
      }
      let o = try tape.recurrence(
        kernel, inputs, of: subsequences, slot: CarrySlot(layer: 2, .state(0)), pass: pass)
      return tape.weightedSum(o, routing)
    }
  }

  // MARK: The reference's

  struct Expected {
    var y: [Double] = []
    var dx: [Double] = []
    var weights: [Double] = []
    /// How far the nearest choice of a memory is from another.
    var margin = Double.infinity
  }

  /// Token by token and memory by memory, in Double, over whole sequences.
  func expected() -> Expected {
    var expected = Expected()
    let leaves = table.entries.map { entry in
      Term(
        Matrix(
          entry.shape[0], entry.range.count / entry.shape[0],
          entry.range.map { Double(weights[$0]) }))
    }
    func leaf(_ name: String) -> Term {
      leaves[table.entries.firstIndex { $0.name == name }!]
    }
    let tokens = sequence.tokens
    for row in 0..<sequence.rows {
      func numbers(_ all: [Float], _ columns: Int) -> Matrix {
        let part = all[row * tokens * columns..<(row + 1) * tokens * columns]
        return Matrix(tokens, columns, part.map(Double.init))
      }
      let x = Term(numbers(x, width))
      let logits = x.projected(by: leaf("router"))
      let choices = (0..<tokens).map { t -> Set<Int> in
        let order = (0..<memories).sorted { a, b in
          let (one, other) = (logits.matrix[t, a], logits.matrix[t, b])
          return one == other ? a < b : one > other
        }
        if chosen < memories {
          let gap = logits.matrix[t, order[chosen - 1]] - logits.matrix[t, order[chosen]]
          expected.margin = min(expected.margin, gap)
        }
        return Set(order.prefix(chosen))
      }
      let scores = logits.exp * Term(Matrix(tokens, memories) { choices[$0].contains($1) ? 1 : 0 })
      let inverse = scores.times(Term(Matrix(memories, 1, repeating: 1)))
        .map({ 1 / $0 }) { _, y in -y * y }
      let shares = scores * inverse.spread(memories)
      var y = Term(Matrix(tokens, heads * valueDimension))
      for group in 0..<groups {
        let own = (0..<tokens).filter { group == memories || choices[$0].contains(group) }
        guard !own.isEmpty else { continue }
        let selection = Matrix(own.count, tokens) { own[$0] == $1 ? 1 : 0 }
        let starts = Set(
          sequence.starts[row].compactMap { start in own.firstIndex { $0 >= start } })
        let o = memory(group, Term(selection).times(x), leaf, starts)
        let weighted =
          group == memories
          ? o
          : o * Term(selection).times(shares.columns(group..<group + 1)).spread(o.columns)
        y = y + Term(selection).transposed.times(weighted)
      }
      y.backward(numbers(dy, heads * valueDimension))
      expected.y += y.matrix.numbers
      expected.dx += x.gradient.numbers
    }
    expected.weights = leaves.flatMap(\.gradient.numbers)
    return expected
  }

  /// The outputs of a memory that reads some rows.
  private func memory(
    _ group: Int, _ rows: Term, _ leaf: (String) -> Term, _ starts: Set<Int>
  ) -> Term {
    func mixed(_ name: String, _ weight: String) -> Term {
      rows.projected(by: leaf(weight)).shortConvolution(leaf("taps \(name)"), starts: starts).silu
    }
    let (q, k, v) = (mixed("q", "q"), mixed("k", "k \(group)"), mixed("v", "v \(group)"))
    let g = rows.projected(by: leaf("g")).logSigmoid.scaled(by: 0.25)
    let beta = rows.projected(by: leaf("beta")).sigmoid
    return .concatenated(
      (0..<heads).map { head in
        func key(_ x: Term) -> Term {
          let x = x.head(head, width: keyDimension)
          return kind == .gatedDelta ? x.l2Norm(epsilon: 1e-6) : x
        }
        return Term.recurrence(
          q: key(q), k: key(k), v: v.head(head, width: valueDimension),
          g: kind == .noDecay
            ? nil : g.head(head, width: kind == .vectorDecay ? keyDimension : 1),
          beta: kind == .gatedDelta ? beta.head(head, width: 1) : nil, scale: 0.7, starts: starts
        ).rows(0..<rows.rows)
      })
  }
}
