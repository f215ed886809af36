import Autodiff
import MessagePassing
import ReferenceMath
import SequenceParallel
import Tensors
import Testing

/// A random layer of latent attention, whose keys and values are projections of a latent.
private struct LatentCase {
  var test: SequenceCase
  /// Heads; numbers of a latent, of a head's own key, of what heads share, and of a value.
  var heads, latent, own, shared, value: Int
  let exchange: AttentionExchange
  /// Rank of the adapters of what makes keys and values, whose A they share; nil for none.
  var rank: Int? = nil

  init(_ exchange: AttentionExchange, seed: UInt64, mostTokens: Int = 24) {
    var test = SequenceCase(seed: seed, mostTokens: mostTokens)
    func pick(_ limits: ClosedRange<Int>) -> Int { Int.random(in: limits, using: &test.random) }
    (heads, latent, own) = (pick(1...3), pick(1...9), pick(1...8))
    (shared, value) = (pick(1...5), pick(1...12))
    (self.test, self.exchange) = (test, exchange)
  }

  var key: Int { own + shared }
  var outputs: Int { heads * value }
  var columns: Int { heads * key + latent + shared }
  var scale: Double { 1 / Double(key).squareRoot() }

  /// What makes keys and values.
  var table: ParameterTable {
    var table = ParameterTable.oneRegion
    func add(_ name: String, _ rows: Int, _ columns: Int, isAdapter: Bool = false) -> Parameter {
      table.add(
        name, [rows, columns], role: .matrix, initialization: .constant(0), isAdapter: isAdapter)
    }
    let weights = [("k", heads * own), ("v", heads * value)].map { add($0, $1, latent) }
    guard let rank else { return table }
    let down = add("a", rank, latent, isAdapter: true)
    for weight in weights {
      let up = add("\(table[weight].name)b", table[weight].shape.rows, rank, isAdapter: true)
      table.adapt(weight, by: LowRankAdapter(down: down, up: up, scale: 0.5))
    }
    return table
  }

  /// The weights with what their adapters add.
  func merged(_ weights: [Float]) -> [Float] {
    guard let rank else { return weights }
    let rows = heads * (own + value)
    // Shapes: W [rows, r], A [rank, r], B [rows, rank].
    let (a, b) = (rows * latent, (rows + rank) * latent)
    return (0..<a).map { place in
      let (row, column) = place.quotientAndRemainder(dividingBy: latent)
      return (0..<rank).reduce(weights[place]) {
        $0 + 0.5 * weights[b + row * rank + $1] * weights[a + $1 * latent + column]
      }
    }
  }

  func run(
    x: [Float], dy: [Float], weights: [Float], recomputes: Bool? = nil, runsTwice: Bool = false
  ) throws -> SequenceCase.Result {
    let (heads, key, value, exchange, scale) = (heads, key, value, exchange, Float(scale))
    let (first, second) = (heads * key, heads * key + latent)
    let (table, columns) = (table, columns)
    let (k, v) = (table.parameter(named: "k")!, table.parameter(named: "v")!)
    return try test.run(
      x: x, columns: columns, dy: dy, outputs: outputs, table: table, weights: weights,
      recomputes: recomputes, runsTwice: runsTwice
    ) { tape, x, pass in
      try tape.latentAttention(
        q: tape.columns(x, 0..<first), latent: tape.columns(x, first..<second),
        shared: tape.columns(x, second..<columns), dimension: key, valueDimension: value,
        scale: scale, exchange: exchange, slot: CarrySlot(layer: 2, .window), pass: pass
      ) { latent, shared, tape in
        (
          tape.withShared(try tape.linear(latent, k), shared, heads: heads),
          try tape.linear(latent, v)
        )
      }
    }
  }

  /// The outputs of one rank that reads some tokens at once, remembering nothing but what it has seen, and how often it made
  /// keys and values.
  func generated(
    x: [Float], weights: [Float], windows: [Int]
  ) throws -> (y: [Float], expansions: Int) {
    let table = table
    let workspace = Workspace(threads: 2)
    let passes = PassRunner(
      table: table, sequence: SoloCommunicator(), exchange: .chain, workspace: workspace)
    for (index, weight) in weights.enumerated() { passes.store.values.pointer[index] = weight }
    let (k, v) = (table.parameter(named: "k")!, table.parameter(named: "v")!)
    var y = [Float](repeating: .nan, count: test.rows * test.tokens * outputs)
    var (seam, start, expansions) = (Carry(), 0, 0)
    for length in windows {
      let layout = SequenceLayout(
        shardLengths: [length], rank: 0, rows: test.rows, start: start,
        documentStarts: test.starts.map { starts in
          starts.filter { start..<start + length ~= $0 }.map { $0 - start }
        })
      let pass = SequencePass(
        context: passes.context, layout: layout, left: seam, keepsRight: true, runsOnce: true)
      let numbers = (0..<test.rows).flatMap { row in
        let first = row * test.tokens + start
        return x[first * columns..<(first + length) * columns]
      }
      let part = try passes.forward(pass) { tape, pass in
        let x = Variable(
          Tensor([test.rows * length, columns], numbers, pool: workspace.pool),
          needsGradient: false)
        return try tape.latentAttention(
          q: tape.columns(x, 0..<heads * key),
          latent: tape.columns(x, heads * key..<heads * key + latent),
          shared: tape.columns(x, heads * key + latent..<columns), dimension: key,
          valueDimension: value, scale: Float(scale), slot: CarrySlot(layer: 2, .window),
          pass: pass,
          expansion: { latent, shared, tape in
            expansions += 1
            return (
              tape.withShared(try tape.linear(latent, k), shared, heads: heads),
              try tape.linear(latent, v)
            )
          },
          absorption: KeyAbsorption(
            queries: { $1.headProducts($0, k, heads: heads) },
            values: { $1.headProducts($0, v, heads: heads, transposed: true) })
        ).value.numbers
      }
      for row in 0..<test.rows {
        for index in 0..<length * outputs {
          y[(row * test.tokens + start) * outputs + index] = part[row * length * outputs + index]
        }
      }
      seam = try pass.close()
      start += length
    }
    return (y, expansions)
  }

  /// The same a token at a time, in Double, over whole sequences.
  func reference(
    x: [Float], dy: [Float], weights: [Float]
  ) -> (y: [Double], dx: [Double], weights: [Double]) {
    let tokens = test.tokens
    func projections(_ first: Int, _ rows: Int) -> [Term] {
      (0..<heads).map { head in
        let start = first + head * rows * latent
        return Term(Matrix(rows, latent, weights[start..<start + rows * latent]))
      }
    }
    let (keys, values) = (projections(0, own), projections(heads * own * latent, value))
    var (y, dx) = ([Double](), [Double]())
    for row in 0..<test.rows {
      let start = row * tokens * columns
      let input = Term(Matrix(tokens, columns, x[start..<start + tokens * columns]))
      let latents = input.columns(heads * key..<heads * key + latent)
      let common = input.columns(heads * key + latent..<columns)
      let o = Term.concatenated(
        (0..<heads).map { head in
          .attention(
            q: input.head(head, width: key),
            k: .concatenated([latents.projected(by: keys[head]), common]),
            v: latents.projected(by: values[head]), scale: scale, starts: Set(test.starts[row]))
        })
      let from = row * tokens * outputs
      o.backward(Matrix(tokens, outputs, dy[from..<from + tokens * outputs]))
      y += o.matrix.numbers
      dx += input.gradient.numbers
    }
    return (y, dx, (keys + values).flatMap { $0.gradient.numbers })
  }

  /// Random inputs, gradients of outputs, and weights.
  mutating func numbers() -> (x: [Float], dy: [Float], weights: [Float]) {
    let (x, dy) = (test.numbers(columns), test.numbers(outputs))
    let count = table.count
    return (x, dy, (0..<count).map { _ in Float.random(in: -1...1, using: &test.random) })
  }
}

@Suite("Latent attention, whose keys and values are made where latents arrive")
struct LatentAttentionTests {
  private static let exchanges: [AttentionExchange] = [.gather, .ring]

  @Test(
    "Any partition, documents and carries give outputs and all gradients of the whole",
    arguments: exchanges, 0..<40 as Range<UInt64>)
  func agreesWithReference(exchange: AttentionExchange, seed: UInt64) throws {
    var test = LatentCase(exchange, seed: seed, mostTokens: seed % 20 == 19 ? 160 : 24)
    let (x, dy, weights) = test.numbers()
    let result = try test.run(x: x, dy: dy, weights: weights)
    let expected = test.reference(x: x, dy: dy, weights: weights)
    #expect(distance(result.y, expected.y) < 1e-5, "\(test)")
    #expect(distance(result.dx, expected.dx) < 1e-5, "\(test)")
    #expect(distance(result.weights, expected.weights) < 1e-5, "\(test)")
  }

  @Test(
    "Running a region or a segment again, or both, sends nothing and changes no bit",
    arguments: exchanges, 100..<106 as Range<UInt64>)
  func recomputationIsSilent(exchange: AttentionExchange, seed: UInt64) throws {
    var test = LatentCase(exchange, seed: seed)
    let (x, dy, weights) = test.numbers()
    let once = try test.run(x: x, dy: dy, weights: weights, recomputes: false)
    for (recomputes, runsTwice) in [(true, false), (false, true), (true, true)] {
      let again = try test.run(
        x: x, dy: dy, weights: weights, recomputes: recomputes, runsTwice: runsTwice)
      #expect(once.bytes == again.bytes && once.messages == again.messages, "\(test)")
      #expect(once.y == again.y && once.dx == again.dx, "\(test)")
      #expect(once.weights == again.weights, "\(test)")
    }
  }

  @Test(
    "Tokens that are generated read latents as they are: as keys and values of all tokens would give",
    arguments: 0..<30 as Range<UInt64>, [nil, 3] as [Int?])
  func readsLatents(seed: UInt64, rank: Int?) throws {
    var test = LatentCase(.gather, seed: seed, mostTokens: 40)
    test.rank = rank
    let (x, dy, weights) = test.numbers()
    let expected = test.reference(x: x, dy: dy, weights: test.merged(weights)).y
    let tokens = test.test.tokens
    let ones = [Int](repeating: 1, count: tokens)
    let found = try test.generated(x: x, weights: weights, windows: ones)
    #expect(distance(found.y, expected) < 1e-5, "\(test)")
    let half = tokens / 2
    let prompt = [half, tokens - half].filter { $0 > 0 }
    let other = try test.generated(x: x, weights: weights, windows: prompt)
    #expect(distance(other.y, expected) < 1e-5, "\(test)")
  }

  @Test(
    "A token after others makes keys and values of none; a prompt makes those of its own",
    arguments: [nil, 2] as [Int?])
  func expansions(rank: Int?) throws {
    var test = LatentCase(.gather, seed: 1)
    test.rank = rank
    (test.test.rows, test.test.segments, test.test.starts) = (1, [[30]], [[]])
    (test.heads, test.latent, test.own, test.shared, test.value) = (3, 6, 5, 2, 4)
    let (x, _, weights) = test.numbers()
    let found = try test.generated(x: x, weights: weights, windows: [25, 1, 1, 1, 1, 1])
    #expect(found.expansions == 1)
  }

  @Test("A token sends its latent and its shared key, whatever the heads make of them")
  func bytes() throws {
    var test = LatentCase(.gather, seed: 3)
    (test.test.ranks, test.test.rows) = (3, 1)
    (test.test.segments, test.test.starts) = ([[4, 5, 6]], [[]])
    let (x, dy, weights) = test.numbers()
    let result = try test.run(x: x, dy: dy, weights: weights, recomputes: false)
    let token = 4 * (test.latent + test.shared)
    // Each rank's tokens go to two others in either pass; gradients of what came go home.
    let heads = [4, 5, 6].enumerated().map { rank, tokens in
      result.bytes[rank] - 4 * tokens * token - (15 - tokens) * token
    }
    // What stands before them is as long whatever is sent.
    #expect(Set(heads).count == 1 && (0..<300).contains(heads[0]), "\(result.bytes)")
  }
}
