import Foundation
import ReferenceMath
import Testing

/// Each op of the reference: its inputs' shapes and what is computed of them.
struct DifferentiableCase: CustomTestStringConvertible, Sendable {
  let testDescription: String
  let shapes: [(Int, Int)]
  let function: @Sendable ([Term]) -> Term

  init(
    _ name: String, _ shapes: [(Int, Int)], _ function: @escaping @Sendable ([Term]) -> Term
  ) {
    (testDescription, self.shapes, self.function) = (name, shapes, function)
  }

  static let all: [DifferentiableCase] = [
    .init("a sum", [(3, 4), (3, 4)]) { $0[0] + $0[1] },
    .init("a product", [(3, 4), (3, 4)]) { $0[0] * $0[1] },
    .init("a square, whose two factors are one value", [(3, 4)]) { $0[0] * $0[0] },
    .init("a matrix product", [(3, 4), (4, 5)]) { $0[0].times($0[1]) },
    .init("a projection with bias", [(3, 4), (5, 4), (5, 1)]) {
      $0[0].projected(by: $0[1], bias: $0[2])
    },
    .init("heads taken apart and joined", [(3, 6)]) {
      .concatenated([$0[0].head(2, width: 2), $0[0].head(0, width: 2).spread(2)])
    },
    .init("silu", [(3, 4)]) { $0[0].silu },
    .init("softplus", [(3, 4)]) { $0[0].softplus },
    .init("log sigmoid", [(3, 4)]) { $0[0].logSigmoid },
    .init("elu", [(3, 4)]) { $0[0].elu },
    .init("relu", [(3, 4)]) { $0[0].relu },
    .init("exp and log", [(3, 4)]) { $0[0].exp.plus(1).log },
    .init("root-mean-square norm", [(3, 4), (1, 4)]) {
      $0[0].rmsNorm(weight: $0[1], epsilon: 1e-3)
    },
    .init("l2 norm", [(3, 4)]) { $0[0].l2Norm(epsilon: 1e-3) },
    .init("sum norm", [(3, 4)]) { $0[0].exp.sumNorm },
    .init("embedding", [(5, 3)]) { $0[0].embedding([4, 0, 4, 1]) },
    .init("cross-entropy", [(4, 5)]) { $0[0].crossEntropy([1, -1, 4, 0]) },
    .init("rotary positions", [(5, 6)]) { $0[0].rotated(base: 10, from: 3) },
    .init("learned rotary positions", [(5, 3), (1, 3)]) { $0[0].lrpe($0[1], from: 3) },
    .init("short convolution", [(7, 2), (2, 4)]) {
      $0[0].shortConvolution($0[1], starts: [3])
    },
    .init("attention", [(6, 3), (6, 3), (6, 2)]) {
      .attention(q: $0[0], k: $0[1], v: $0[2], scale: 0.7)
    },
    .init("windowed attention over documents", [(8, 3), (8, 3), (8, 2)]) {
      .attention(q: $0[0], k: $0[1], v: $0[2], scale: 0.7, window: 3, starts: [0, 2])
    },
    .init("recurrence without decay", [(6, 3), (6, 3), (6, 2), (3, 2)]) {
      .recurrence(q: $0[0], k: $0[1], v: $0[2], initial: $0[3], scale: 0.7)
    },
    .init("scalar decay", [(6, 3), (6, 3), (6, 2), (6, 1), (3, 2)]) {
      .recurrence(
        q: $0[0], k: $0[1], v: $0[2], g: $0[3].logSigmoid, initial: $0[4], starts: [4])
    },
    .init("vector decay", [(6, 3), (6, 3), (6, 2), (6, 3)]) {
      .recurrence(q: $0[0], k: $0[1], v: $0[2], g: $0[3].logSigmoid, starts: [0, 4])
    },
    .init("delta rule", [(6, 3), (6, 3), (6, 2), (6, 1), (3, 2)]) {
      .recurrence(
        q: $0[0], k: $0[1], v: $0[2], beta: $0[3].sigmoid, initial: $0[4], scale: 0.7)
    },
    .init("delta rule with a gate per channel", [(6, 3), (6, 3), (6, 2), (6, 3), (6, 1), (3, 2)]) {
      .recurrence(
        q: $0[0], k: $0[1], v: $0[2], g: $0[3].logSigmoid, beta: $0[4].sigmoid, initial: $0[5],
        starts: [3])
    },
  ]
}

@Suite("The reference's gradients")
struct GradientTests {
  @Test("Gradients are those of finite differences", arguments: DifferentiableCase.all)
  func finiteDifferences(_ sample: DifferentiableCase) {
    var draws = Draws(seed: 1)
    let inputs = sample.shapes.map { rows, columns in
      Matrix(rows, columns) { _, _ in Double.random(in: 0.1...1.3, using: &draws) }
        .alternating
    }
    let values = inputs.map { Term($0) }
    let result = sample.function(values)
    let seed = Matrix(result.rows, result.columns) { _, _ in
      Double.random(in: -1...1, using: &draws)
    }
    func weighted(_ inputs: [Matrix]) -> Double {
      let result = sample.function(inputs.map { Term($0) }).matrix
      return zip(result.numbers, seed.numbers).reduce(0) { $0 + $1.0 * $1.1 }
    }
    result.backward(seed)
    for (index, input) in inputs.enumerated() {
      for element in input.numbers.indices {
        let step = 1e-5
        var (more, less) = (inputs, inputs)
        more[index].numbers[element] += step
        less[index].numbers[element] -= step
        let difference = (weighted(more) - weighted(less)) / (2 * step)
        let gradient = values[index].gradient.numbers[element]
        #expect(
          abs(gradient - difference) < 1e-7 * (1 + abs(difference)),
          "input \(index), element \(element)")
      }
    }
  }

  @Test("A recurrence from a state is the rest of a longer one")
  func continues() {
    func matrix(_ columns: Int, _ phase: Double) -> Matrix {
      Matrix(9, columns) { sin(phase + 1.7 * Double($0) + 0.9 * Double($1)) }
    }
    let (q, k, v, beta) = (matrix(3, 1), matrix(3, 2), matrix(2, 3), matrix(1, 4))
    func run(_ range: Range<Int>, initial: Matrix?) -> Matrix {
      Term.recurrence(
        q: Term(q.rows(range)), k: Term(k.rows(range)), v: Term(v.rows(range)),
        beta: Term(beta.rows(range)), initial: initial.map { Term($0) }
      ).matrix
    }
    let whole = run(0..<9, initial: nil)
    let first = run(0..<4, initial: nil)
    let second = run(4..<9, initial: first.rows(4..<7))
    #expect(first.rows(0..<4).above(second) == whole)
  }
}

extension Matrix {
  /// Every second element negated: no element near 0, where some functions have a kink.
  fileprivate var alternating: Matrix {
    var result = self
    for index in numbers.indices where index % 2 == 1 { result.numbers[index].negate() }
    return result
  }
}
