import Foundation
import Kernels
import Testing

@Suite("The choice of experts")
struct ExpertChoiceTests {
  private struct Choice {
    var choices: [Int32]
    var weights, scores, logSums: [Float]
  }

  private func choose(
    _ logits: [Float], correction: [Float]? = nil, _ rule: RoutingRule
  ) -> Choice {
    let rows = logits.count / rule.experts
    var found = Choice(
      choices: [Int32](repeating: -1, count: rows * rule.chosen),
      weights: [Float](repeating: 0, count: rows * rule.chosen), scores: logits,
      logSums: [Float](repeating: 0, count: rows))
    var candidates = [Float](repeating: 0, count: rule.experts)
    (correction ?? []).withUnsafeBufferPointer {
      ExpertChoice.forward(
        &found.scores, correction: correction == nil ? nil : $0.baseAddress, rule,
        choices: &found.choices, weights: &found.weights, logSums: &found.logSums,
        candidates: &candidates, rows: 0..<rows)
    }
    return found
  }

  @Test(
    "Of equal scores the lower number is chosen, and numbers that are none leave as many choices")
  func ties() {
    let rule = RoutingRule(experts: 5, chosen: 2)
    #expect(choose([0, 2, 2, 2, 1], rule).choices == [1, 2])
    #expect(choose([0, 0, 0, 0, 0], rule).choices == [0, 1])
    #expect(choose([3, 0, 4, 0, 9], rule).choices == [2, 4])
    let broken = choose([.nan, 0, .nan, 1, .nan], rule).choices
    #expect(Set(broken).count == 2 && broken.allSatisfy { (0..<5).contains($0) })
  }

  @Test("A correction changes the choice and not the weights; the best groups are looked at alone")
  func corrects() {
    let rule = RoutingRule(experts: 4, chosen: 2, score: .sigmoid, renormalized: false, scale: 2)
    let found = choose([1, 2, 3, 4], correction: [9, 0, 0, 0], rule)
    #expect(found.choices == [0, 3])
    #expect(abs(found.weights[0] - 2 / (1 + exp(-1))) < 1e-6)
    // Groups are worth their two best: 0.9 + 0.9 beats 0.99 + 0.5.
    let groups = RoutingRule(
      experts: 6, chosen: 2, score: .sigmoid, renormalized: true, groups: 2, bestGroups: 1)
    #expect(choose([5, 0, 0, 2.2, 2.1, 2.3], groups).choices == [3, 5])
  }

  private static let rules = [
    RoutingRule(experts: 7, chosen: 3), RoutingRule(experts: 7, chosen: 1),
    RoutingRule(experts: 7, chosen: 2, renormalized: false),
    RoutingRule(experts: 7, chosen: 3, score: .sigmoid, scale: 2.5),
    RoutingRule(experts: 7, chosen: 7, score: .sigmoid, renormalized: false),
  ]

  /// `Σ a · weights + Σ b · scores + c (log Σ exp(l))²` in float64, with the choices that are given.
  private func value(
    _ logits: [Double], _ choices: [Int], _ rule: RoutingRule, a: [Double], b: [Double], c: Double
  ) -> Double {
    let exponentials = logits.map { exp($0) }
    let sum = exponentials.reduce(0, +)
    let scores =
      rule.score == .softmax ? exponentials.map { $0 / sum } : logits.map { 1 / (1 + exp(-$0)) }
    let chosen = choices.map { scores[$0] }
    let total = rule.isRenormalized ? chosen.reduce(0, +) : 1
    let weighted = zip(a, chosen).reduce(0) { $0 + $1.0 * $1.1 * Double(rule.scale) / total }
    return weighted + zip(b, scores).reduce(0) { $0 + $1.0 * $1.1 } + c * log(sum) * log(sum)
  }

  @Test("Gradients of weights, scores and log sums are those of float64", arguments: rules.indices)
  func gradients(index: Int) {
    let rule = Self.rules[index]
    func numbers(_ count: Int, _ seed: Int) -> [Float] {
      (0..<count).map { Float(($0 * 7919 + (seed + index) * 104729) % 2003 - 1001) / 777 }
    }
    let (experts, rows) = (rule.experts, 4)
    let logits = numbers(rows * experts, 1)
    let a = numbers(rows * rule.chosen, 2)
    let b = numbers(experts, 3)
    let c: Float = 0.3
    let found = choose(logits, rule)
    var d = [Float](repeating: 0, count: logits.count)
    found.logSums.withUnsafeBufferPointer { logSums in
      b.withUnsafeBufferPointer { b in
        ExpertChoice.backward(
          found.scores, found.choices, found.weights, rule, dWeights: a,
          scoreGradient: b.baseAddress, logSums: (logSums.baseAddress!, c), into: &d,
          rows: 0..<rows)
      }
    }
    for row in 0..<rows {
      let own = logits[row * experts..<(row + 1) * experts].map(Double.init)
      let choices = found.choices[row * rule.chosen..<(row + 1) * rule.chosen].map(Int.init)
      let weights = a[row * rule.chosen..<(row + 1) * rule.chosen].map(Double.init)
      for e in 0..<experts {
        func at(_ shift: Double) -> Double {
          var moved = own
          moved[e] += shift
          return value(
            moved, choices, rule, a: weights, b: b.map(Double.init), c: Double(c))
        }
        let right = (at(1e-5) - at(-1e-5)) / 2e-5
        #expect(abs(Double(d[row * experts + e]) - right) < 2e-5)
      }
    }
  }

  @Test("Choices are sorted by expert, and by token among those of one")
  func sorts() {
    let choices: [Int32] = [2, 0, 2, 1, 2, 0]
    var starts = [Int](repeating: 0, count: 5)
    var (places, sources) = ([Int32](repeating: 0, count: 6), [Int32](repeating: 0, count: 6))
    ExpertOrder.sort(
      choices, count: 6, experts: 4, starts: &starts, places: &places, sources: &sources)
    #expect(starts == [0, 2, 3, 6, 6])
    #expect(sources == [1, 5, 3, 0, 2, 4])
    #expect(places == [3, 0, 4, 2, 5, 1])
  }

  @Test("Experts with little room take the first choices of each sequence")
  func takes() {
    // Two sequences of four choices.
    let choices: [Int32] = [2, 0, 2, 2, 2, 1, 2, 0]
    var room: [Int32] = [1, 1, 2, 0, 5, 1]
    var starts = [Int](repeating: 0, count: 4)
    var (places, sources) = ([Int32](repeating: 0, count: 8), [Int32](repeating: 0, count: 8))
    room.withUnsafeMutableBufferPointer {
      ExpertOrder.sort(
        choices, count: 8, experts: 3, room: ($0.baseAddress!, choices: 4), starts: &starts,
        places: &places, sources: &sources)
    }
    #expect(starts == [0, 1, 2, 5])
    #expect(places == [2, 0, 3, -1, 4, 1, -1, -1])
    #expect(sources.prefix(5) == [1, 5, 0, 2, 4])
    #expect(room == [0, 1, 0, 0, 4, 0])
  }
}
