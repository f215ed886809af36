import Tensors
import Testing

@testable import Optimizers

@Suite struct LionUpdates {
  private let count = 40_000
  private let decay = WeightDecay([(10..<500, 0.1), (600..<30_003, 0.5)])

  private func gradients(_ step: Int) -> [Float] {
    let random = Random(seed: 2, purpose: UInt64(step))
    return (0..<count).map { $0 % 7 == 0 ? 0 : Float(random.normal(at: UInt64($0))) }
  }

  private func update(
    _ rule: Lion, _ weights: inout [Float], _ momentum: inout [Float], step: Int,
    ranges: [Range<Int>], threads: Int
  ) {
    let team = ThreadTeam(size: threads)
    let gradients = gradients(step)
    weights.withUnsafeMutableBufferPointer { w in
      gradients.withUnsafeBufferPointer { g in
        momentum.withUnsafeMutableBufferPointer { m in
          for range in ranges {
            let first = range.lowerBound
            rule.update(
              UpdateSlice(
                range: range, weights: w.baseAddress! + first, gradients: g.baseAddress! + first,
                state: [m.baseAddress! + first]),
              UpdateStep(number: step, learningRate: 1e-2, decay: decay, gradientScale: 0.25),
              team: team)
          }
        }
      }
    }
  }

  @Test(arguments: [Lion(), Lion(beta1: 0.95, beta2: 0.98), Lion(beta1: 0, beta2: 0.5)])
  func agreesWithTheRuleInDouble(rule: Lion) {
    var weights = gradients(0)
    var momentum = [Float](repeating: 0, count: count)
    var (w, m) = (weights.map(Double.init), momentum.map(Double.init))
    for step in 1...20 {
      update(rule, &weights, &momentum, step: step, ranges: [0..<count], threads: 1)
      for (i, gradient) in gradients(step).enumerated() {
        let g = Double(gradient) * 0.25
        let d = (10..<500).contains(i) ? 0.1 : (600..<30_003).contains(i) ? 0.5 : 0
        let c = rule.beta1 * m[i] + (1 - rule.beta1) * g
        w[i] -= 1e-2 * ((c > 0 ? 1 : c < 0 ? -1 : 0) + d * w[i])
        m[i] = rule.beta2 * m[i] + (1 - rule.beta2) * g
      }
    }
    // An element whose direction was nearly nothing may have gone the other way.
    let parted = weights.indices.filter { abs(Double(weights[$0]) - w[$0]) > 1e-5 }
    #expect(parted.count <= 4)
    #expect(momentum.indices.allSatisfy { abs(Double(momentum[$0]) - m[$0]) < 1e-6 })
  }

  @Test func anyCutAndAnyNumberOfThreadsGivesTheSameBits() {
    var whole = (gradients(0), [Float](repeating: 0, count: count))
    var cut = whole
    for step in 1...3 {
      update(Lion(), &whole.0, &whole.1, step: step, ranges: [0..<count], threads: 1)
      update(
        Lion(), &cut.0, &cut.1, step: step,
        ranges: [0..<1, 1..<20, 20..<20, 20..<30_003, 30_003..<count], threads: 3)
    }
    #expect(cut == whole)
  }
}
