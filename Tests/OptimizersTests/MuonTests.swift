import Tensors
import Testing

@testable import Optimizers

/// The rule in Double, as the paper writes it, by loops.
private struct Reference {
  let rows, columns: Int
  var weights: [Double]
  var momentum: [Double]

  /// `X ← a X + (b A + c A²) X` with `A = X Xᵀ`.
  private func iterate(_ x: [Double]) -> [Double] {
    func product(_ p: [Double], _ q: [Double], _ m: Int, _ k: Int, _ n: Int) -> [Double] {
      (0..<m * n).map { index in
        (0..<k).reduce(0) { $0 + p[index / n * k + $1] * q[$1 * n + index % n] }
      }
    }
    let transposed = (0..<x.count).map { x[$0 % rows * columns + $0 / rows] }
    let a = product(x, transposed, rows, columns, rows)
    let squared = product(a, a, rows, rows, rows)
    let polynomial = zip(a, squared).map { -4.7750 * $0 + 2.0315 * $1 }
    return zip(x, product(polynomial, x, rows, rows, columns)).map { 3.4445 * $0 + $1 }
  }

  mutating func update(_ g: [Double], rate: Double, decay: Double, mu: Double) {
    momentum = zip(momentum, g).map { mu * $0 + $1 }
    let u = zip(momentum, g).map { mu * $0 + $1 }
    let norm = u.reduce(0) { $0 + $1 * $1 }.squareRoot()
    var x = u.map { $0 / (norm + 1e-7) }
    for _ in 0..<5 { x = iterate(x) }
    let scale = 0.2 * Double(max(rows, columns)).squareRoot()
    weights = zip(weights, x).map { (1 - rate * decay) * $0 - rate * scale * $1 }
  }
}

@Suite struct MuonUpdates {
  init() { BLAS.setThreads(1) }

  private func numbers(_ count: Int, _ purpose: Int) -> [Float] {
    let random = Random(seed: 3, purpose: UInt64(purpose))
    return (0..<count).map { Float(random.normal(at: UInt64($0))) }
  }

  /// Updates a matrix for some steps; gives weights and momentum, and those of the reference.
  private func run(
    _ rows: Int, _ columns: Int, steps: Int, gradients: (Int) -> [Float]
  ) -> (weights: [Float], momentum: [Float], reference: Reference) {
    let count = rows * columns
    let (rule, team) = (Muon(momentum: 0.9), ThreadTeam(size: 2))
    var weights = numbers(count, 0)
    var momentum = [Float](repeating: 0, count: count)
    var scratch = [Float](
      repeating: .nan, count: rule.scratchCount(rows: rows, columns: columns))
    var reference = Reference(
      rows: rows, columns: columns, weights: weights.map(Double.init),
      momentum: momentum.map(Double.init))
    for step in 1...steps {
      let g = gradients(step)
      weights.withUnsafeMutableBufferPointer { w in
        momentum.withUnsafeMutableBufferPointer { m in
          scratch.withUnsafeMutableBufferPointer { scratch in
            g.withUnsafeBufferPointer { g in
              rule.update(
                UpdateSlice(
                  range: 7..<7 + count, weights: w.baseAddress!, gradients: g.baseAddress!,
                  state: [m.baseAddress!], matrix: (rows, columns), scratch: scratch.baseAddress!),
                UpdateStep(
                  number: step, learningRate: 0.02, decay: WeightDecay([(0..<7 + count, 0.1)]),
                  gradientScale: 0.5), team: team)
            }
          }
        }
      }
      reference.update(g.map { 0.5 * Double($0) }, rate: 0.02, decay: 0.1, mu: 0.9)
    }
    return (weights, momentum, reference)
  }

  @Test(arguments: [(6, 6), (3, 17), (17, 3), (1, 5), (24, 40)])
  func agreesWithTheRuleInDouble(rows: Int, columns: Int) {
    let result = run(rows, columns, steps: 5) { numbers(rows * columns, $0) }
    for (weight, expected) in zip(result.weights, result.reference.weights) {
      #expect(abs(Double(weight) - expected) < 2e-5 * max(1, abs(expected)))
    }
    for (momentum, expected) in zip(result.momentum, result.reference.momentum) {
      #expect(abs(Double(momentum) - expected) < 1e-5)
    }
  }

  @Test func aMatrixWithoutGradientsOnlyDecays() {
    let before = numbers(12, 0)
    let result = run(3, 4, steps: 1) { _ in [Float](repeating: 0, count: 12) }
    #expect(zip(result.weights, before).allSatisfy { abs($0 - 0.998 * $1) < 1e-6 })
  }

  /// The quintic brings singular values to 0.7…1.2, so a step's root mean square is near 0.2 η, whatever the shape.
  @Test(arguments: [(16, 16), (8, 64), (64, 8)])
  func aStepIsAsLargeAsOneOfAdamW(rows: Int, columns: Int) {
    let count = rows * columns
    let before = numbers(count, 0)
    let result = run(rows, columns, steps: 1) { numbers(count, $0) }
    let squares = zip(result.weights, before).reduce(0.0) {
      let move = Double($1.0) - 0.998 * Double($1.1)
      return $0 + move * move
    }
    let relative = (squares / Double(count)).squareRoot() / 0.02
    #expect((0.12...0.25).contains(relative))
  }
}
