import Foundation
import Kernels
import Testing

@Suite("The choice of experts")
struct ExpertChoiceTests {
  private struct Choice {
    var choices: [Int32]
    var weights, scores, logSums, margins: [Float]
  }

  private func choose(
    _ logits: [Float], correction: [Float]? = nil, _ rule: RoutingRule
  ) -> Choice {
    let rows = logits.count / rule.experts
    var found = Choice(
      choices: [Int32](repeating: -1, count: rows * rule.chosen),
      weights: [Float](repeating: 0, count: rows * rule.chosen), scores: logits,
      logSums: [Float](repeating: 0, count: rows), margins: [Float](repeating: 0, count: rows))
    var candidates = [Float](repeating: 0, count: rule.experts)
    (correction ?? []).withUnsafeBufferPointer {
      ExpertChoice.forward(
        &found.scores, correction: correction == nil ? nil : $0.baseAddress, rule,
        choices: &found.choices, weights: &found.weights, logSums: &found.logSums,
        margins: &found.margins, candidates: &candidates, rows: 0..<rows)
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

  @Test("A margin is how far what was chosen is from another choice, of experts or of groups")
  func margins() {
    #expect(choose([0, 2, 5, 4.5, 1], RoutingRule(experts: 5, chosen: 2)).margins == [2.5])
    #expect(choose([0, 2, 5, 5, 1], RoutingRule(experts: 5, chosen: 1)).margins == [0])
    #expect(choose([0, 2, 1], RoutingRule(experts: 3, chosen: 3)).margins == [.infinity])
    // Scores are 1/2 of logits 0; of groups the worth 1 + 1/2 beats 1/2 + 1/4.
    let rule = RoutingRule(
      experts: 6, chosen: 1, score: .sigmoid, renormalized: true, groups: 3, bestGroups: 1)
    let helped = choose(
      [Float](repeating: 0, count: 6), correction: [0.5, 0, 0, -0.25, -1, -1], rule)
    #expect(helped.choices == [0] && helped.margins == [0.5])
    let both = RoutingRule(
      experts: 6, chosen: 4, score: .sigmoid, renormalized: true, groups: 3, bestGroups: 2)
    // All experts of the best groups: what else there could be is another group.
    let all = choose(
      [Float](repeating: 0, count: 6), correction: [0.5, 0, 0, -0.25, 0, -1], both)
    #expect(all.choices == [0, 1, 2, 3] && all.margins == [0.75])
  }

  private static let rules = [
    RoutingRule(experts: 7, chosen: 3), RoutingRule(experts: 7, chosen: 1),
    RoutingRule(experts: 7, chosen: 2, renormalized: false),
    RoutingRule(experts: 7, chosen: 3, score: .sigmoid, scale: 2.5),
    RoutingRule(experts: 7, chosen: 7, score: .sigmoid, renormalized: false),
    RoutingRule(experts: 7, chosen: 1, score: .sigmoid, scale: 2.5),
    RoutingRule(experts: 7, chosen: 2, scale: 0.5),
  ]

  @Test("One that is chosen alone has the whole weight, whose gradient goes nowhere")
  func alone() {
    for score in [RoutingRule.Score.softmax, .sigmoid] {
      let rule = RoutingRule(experts: 5, chosen: 1, score: score, renormalized: true, scale: 2.5)
      let logits = (0..<200).map { (i: Int) -> Float in Float(i * 7919 % 2003 - 1001) / 300 }
      let found = choose(logits, rule)
      #expect(found.weights.allSatisfy { $0 == 2.5 })
      var d = [Float](repeating: .nan, count: logits.count)
      let dWeights = (0..<40).map { (i: Int) -> Float in Float(i) - 17.3 }
      ExpertChoice.backward(
        found.scores, found.choices, found.weights, rule, dWeights: dWeights,
        scoreGradient: nil, logSums: nil, into: &d, rows: 0..<40)
      #expect(d.allSatisfy { $0 == 0 })
    }
  }

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

  /// What a sort gives.
  private struct Sorted {
    var starts: [Int]
    var places, sources, room: [Int32]
  }

  private func sort(
    _ choices: [Int32], sequences: Int = 1, experts: Int, room: [Int32]? = nil
  ) -> Sorted {
    let each = choices.count / sequences
    var counts = [Int32](repeating: -1, count: sequences * experts)
    ExpertOrder.count(
      choices, count: choices.count, each: each, sequences: sequences, experts: experts,
      into: &counts)
    var found = Sorted(
      starts: [Int](repeating: -1, count: experts + 1),
      places: [Int32](repeating: -2, count: choices.count),
      sources: [Int32](repeating: -2, count: choices.count), room: room ?? [])
    found.room.withUnsafeMutableBufferPointer {
      ExpertOrder.sort(
        choices, each: each, sequences: sequences, experts: experts, counts: counts,
        room: room == nil ? nil : $0.baseAddress, starts: &found.starts, places: &found.places,
        sources: &found.sources)
    }
    return found
  }

  @Test("Choices are sorted by expert, and by token among those of one")
  func sorts() {
    let found = sort([2, 0, 2, 1, 2, 0], experts: 4)
    #expect(found.starts == [0, 2, 3, 6, 6])
    #expect(found.sources == [1, 5, 3, 0, 2, 4])
    #expect(found.places == [3, 0, 4, 2, 5, 1])
    #expect(sort([], sequences: 2, experts: 2).starts == [0, 0, 0])
  }

  @Test("Experts with little room take the first choices of each sequence")
  func takes() {
    // Two sequences of four choices.
    let found = sort(
      [2, 0, 2, 2, 2, 1, 2, 0], sequences: 2, experts: 3, room: [1, 1, 2, 0, 5, 1])
    #expect(found.starts == [0, 1, 2, 5])
    #expect(found.places == [2, 0, 3, -1, 4, 1, -1, -1])
    #expect(found.sources.prefix(5) == [1, 5, 0, 2, 4])
    #expect(found.room == [0, 1, 0, 0, 4, 0])
  }
}
