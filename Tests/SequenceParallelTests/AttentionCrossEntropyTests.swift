import Autodiff
import Foundation
import Kernels
import ReferenceMath
import SequenceParallel
import Testing

/// A random layer whose linear weights are compared with those of softmax attention.
private struct CrossEntropyCase {
  var test: SequenceCase
  let dimension, heads, keyHeads, features: Int
  let window: Int?
  let exchange: AttentionExchange

  init(seed: UInt64, mostTokens: Int) {
    test = SequenceCase(seed: seed, mostTokens: mostTokens)
    dimension = [2, 8, 20].randomElement(using: &test.random)!
    keyHeads = Int.random(in: 1...2, using: &test.random)
    heads = keyHeads * Int.random(in: 1...2, using: &test.random)
    features = [1, 3, 8].randomElement(using: &test.random)!
    window = [nil, nil, 1, 5].randomElement(using: &test.random)!
    exchange = [.gather, .ring].randomElement(using: &test.random)!
  }

  /// Queries, keys, and what features are made of.
  var columns: Int { (heads + keyHeads) * dimension + 2 * heads * features }

  func run(
    x: [Float], dy: [Float], recomputes: Bool? = nil, runsTwice: Bool = false
  ) throws -> SequenceCase.Result {
    let (d, f, H, window, exchange) = (dimension, features, heads, window, exchange)
    let (queries, keys) = (heads * dimension, keyHeads * dimension)
    return try test.run(
      x: x, columns: columns, dy: dy, outputs: 1, recomputes: recomputes, runsTwice: runsTwice
    ) { tape, x, pass in
      func map(_ first: Int) -> Variable {
        let u = tape.columns(x, first..<first + H * f)
        return tape.positiveFeatures(u, .softmax, width: f)
      }
      return try tape.attentionCrossEntropy(
        q: tape.columns(x, 0..<queries), k: tape.columns(x, queries..<queries + keys),
        queryFeatures: map(queries + keys), keyFeatures: map(queries + keys + H * f),
        dimension: d, features: 2 * f, window: window, exchange: exchange,
        slot: CarrySlot(layer: 2, .window), pass: pass)
    }
  }

  /// The same in Double, with all pairs of tokens written out.
  func reference(x: [Float], dy: [Float]) -> (y: [Double], dx: [Double]) {
    let (d, f, T) = (dimension, features, test.tokens)
    var (y, dx) = ([Double](), [Double]())
    for row in 0..<test.rows {
      let input = Term(Matrix(T, columns) { Double(x[(row * T + $0) * columns + $1]) })
      func mask(_ window: Int?) -> Matrix {
        Matrix(T, T) { i, j in
          j <= i && test.isSameDocument(row, j, i) && i - j < window ?? .max ? 1 : 0
        }
      }
      let (seen, all) = (mask(window), mask(nil))
      let first = (heads + keyHeads) * d
      let losses = (0..<heads).map { head -> Term in
        // The teacher's weights are constants.
        let q = Term(input.head(head, width: d).matrix)
        let k = Term(input.head(heads + head / (heads / keyHeads), width: d).matrix)
        let scores = q.times(k.transposed).scaled(by: 1 / Double(d).squareRoot())
        let a = (scores.exp * Term(seen)).sumNorm.matrix
        func map(_ first: Int) -> Term {
          input.columns(first + head * f..<first + (head + 1) * f).mirroredSoftmaxes
        }
        let products = map(first).times(map(first + heads * f).transposed)
        let weights = (products * Term(all)).sumNorm.clamped
        return (Term(a) * weights.log).times(Term(Matrix(T, 1, repeating: -1)))
      }
      let loss = losses.dropFirst().reduce(losses[0], +)
      loss.backward(Matrix(T, 1) { i, _ in Double(dy[row * T + i]) })
      y += loss.matrix.numbers
      dx += input.gradient.numbers
    }
    return (y, dx)
  }
}

@Suite("Cross-entropy of the weights of softmax and linear attention")
struct AttentionCrossEntropyTests {
  @Test("any partition, documents and segments", arguments: 0..<60 as Range<UInt64>)
  func agreesWithReference(seed: UInt64) throws {
    var test = CrossEntropyCase(seed: seed, mostTokens: seed % 10 == 9 ? 150 : 24)
    // Up to features so far apart that weights are clamped.
    let width: Float = [1, 3, 30].randomElement(using: &test.test.random)!
    let x = test.test.numbers(test.columns).enumerated().map { index, number in
      index % test.columns < (test.heads + test.keyHeads) * test.dimension ? number : width * number
    }
    let dy = test.test.numbers(1)
    let result = try test.run(x: x, dy: dy, runsTwice: seed % 3 == 0)
    let right = test.reference(x: x, dy: dy)
    // A key that is alone has no loss.
    #expect(
      relativeError(result.y, right.y, normAtLeast: 1e-3) < 1e-5, "width \(width): \(test)")
    let scale = dy.reduce(0) { $0 + Double($1 * $1) }.squareRoot()
    #expect(
      relativeError(result.dx, right.dx, normAtLeast: 0.01 * scale) < 2e-5,
      "width \(width): \(test)")
  }

  @Test("running a region or a segment again sends nothing", arguments: 100..<112 as Range<UInt64>)
  func recomputationIsSilent(seed: UInt64) throws {
    var test = CrossEntropyCase(seed: seed, mostTokens: 24)
    let (x, dy) = (test.test.numbers(test.columns), test.test.numbers(1))
    let once = try test.run(x: x, dy: dy, recomputes: false)
    let again = try test.run(x: x, dy: dy, recomputes: true, runsTwice: seed % 2 == 0)
    #expect(once.bytes == again.bytes && once.messages == again.messages, "\(test)")
    #expect(once.y == again.y && once.dx == again.dx, "\(test)")
  }
}
