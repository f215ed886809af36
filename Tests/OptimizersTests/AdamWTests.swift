import Tensors
import Testing

@testable import Optimizers

/// The rule in Double, one number at a time, as the paper writes it.
private struct Reference {
  var weight: Double
  var firstMoment = 0.0
  var secondMoment = 0.0
  var productOfBeta1 = 1.0
  var productOfBeta2 = 1.0

  mutating func update(_ gradient: Double, _ rule: AdamW, rate: Double, decay: Double) {
    firstMoment = rule.beta1 * firstMoment + (1 - rule.beta1) * gradient
    secondMoment = rule.beta2 * secondMoment + (1 - rule.beta2) * gradient * gradient
    productOfBeta1 *= rule.beta1
    productOfBeta2 *= rule.beta2
    let (firstHat, secondHat) = (
      firstMoment / (1 - productOfBeta1), secondMoment / (1 - productOfBeta2)
    )
    weight -= rate * (firstHat / (secondHat.squareRoot() + rule.epsilon) + decay * weight)
  }
}

/// Flat memory of some parameters and their moments.
private struct Memory {
  var weights: [Float]
  var gradients: [Float]
  var firstMoment: [Float]
  var secondMoment: [Float]

  init(count: Int) {
    let random = Random(seed: 1, purpose: 1)
    weights = (0..<count).map { Float(random.normal(at: UInt64($0))) }
    gradients = weights
    firstMoment = Array(repeating: 0, count: count)
    secondMoment = firstMoment
  }

  /// New gradients whose sizes span eight powers of ten.
  mutating func draw(step: Int) {
    let random = Random(seed: 2, purpose: UInt64(step))
    for i in gradients.indices {
      gradients[i] = Float(random.normal(at: UInt64(i))) * [1e-6, 1, 1e-3, 100][i % 4]
    }
  }

  mutating func update(
    _ rule: AdamW, _ range: Range<Int>, step: Int, rate: Double, decay: WeightDecay, scale: Double,
    team: ThreadTeam
  ) {
    let first = range.lowerBound
    weights.withUnsafeMutableBufferPointer { w in
      gradients.withUnsafeBufferPointer { g in
        firstMoment.withUnsafeMutableBufferPointer { m in
          secondMoment.withUnsafeMutableBufferPointer { v in
            rule.update(
              UpdateSlice(
                range: range, weights: w.baseAddress! + first, gradients: g.baseAddress! + first,
                state: [m.baseAddress! + first, v.baseAddress! + first]),
              UpdateStep(
                number: step, learningRate: rate, decay: decay, gradientScale: scale), team: team)
          }
        }
      }
    }
  }
}

@Suite struct AdamWUpdates {
  @Test(arguments: [
    AdamW(), AdamW(beta1: 0.8, beta2: 0.999, epsilon: 1e-5), AdamW(beta1: 0, beta2: 0),
  ])
  func agreesWithTheRuleInDouble(rule: AdamW) {
    let count = 1003
    let decay = WeightDecay([(10..<500, 0.1), (600..<1003, 0.5)])
    let team = ThreadTeam(size: 1)
    var memory = Memory(count: count)
    var references = memory.weights.map { Reference(weight: Double($0)) }
    for step in 1...100 {
      let rate = 1e-2 / Double(step)
      memory.draw(step: step)
      memory.update(
        rule, 0..<count, step: step, rate: rate, decay: decay, scale: 0.25, team: team)
      for i in references.indices {
        let factor = (10..<500).contains(i) ? 0.1 : i >= 600 ? 0.5 : 0
        references[i].update(Double(memory.gradients[i]) * 0.25, rule, rate: rate, decay: factor)
      }
    }
    for i in references.indices {
      #expect(
        abs(Double(memory.weights[i]) - references[i].weight)
          <= 2e-6 * max(1, abs(references[i].weight)), "element \(i)")
      #expect(
        abs(Double(memory.secondMoment[i]) - references[i].secondMoment) <= 1e-5
          * references[i].secondMoment)
    }
  }

  @Test func theFirstStepIsTheLearningRateAgainstTheGradientsSign() {
    var memory = Memory(count: 2)
    memory.weights = [1, 1]
    memory.gradients = [3, -1e-3]
    memory.update(
      AdamW(epsilon: 1e-12), 0..<2, step: 1, rate: 0.1, decay: WeightDecay([]), scale: 1,
      team: ThreadTeam(size: 1))
    #expect(abs(memory.weights[0] - 0.9) < 1e-6)
    #expect(abs(memory.weights[1] - 1.1) < 1e-6)
  }

  /// Gradients of 0, and such whose squares are 0 in fp32; an ε that fp32 does not hold either.
  @Test(arguments: [1e-8, 1e-30, 1e-45, 1e-60, 1e300])
  func nothingIsDividedByZero(epsilon: Double) {
    let rule = AdamW(epsilon: epsilon)
    let gradients: [Float] = [0, 1e-30, -1e-23, 1e-20, 1e-3, -1]
    var memory = Memory(count: gradients.count)
    memory.gradients = gradients
    var references = memory.weights.map { Reference(weight: Double($0)) }
    let before = memory.weights
    for step in 1...20 {
      memory.update(
        rule, 0..<gradients.count, step: step, rate: 1e-3, decay: WeightDecay([]), scale: 1,
        team: ThreadTeam(size: 1))
      for i in references.indices {
        references[i].update(Double(gradients[i]), rule, rate: 1e-3, decay: 0)
      }
    }
    #expect(memory.weights[0] == before[0])
    for i in references.indices {
      let (moved, expected) = (
        Double(memory.weights[i]) - Double(before[i]), references[i].weight - Double(before[i])
      )
      // Below 1e-19 a square has no digits in fp32: the update is at most what the rule makes of it.
      if abs(gradients[i]) >= 1e-19 || epsilon > 1e-11 {
        #expect(abs(moved - expected) <= 1e-5 * abs(expected) + 2e-7, "element \(i)")
      } else {
        #expect(abs(moved) <= abs(expected) + 2e-7, "element \(i)")
      }
    }
  }

  @Test func noHyperparameterMakesNaNOfAnElementThatIsZero() {
    var memory = Memory(count: 1)
    memory.weights = [0]
    memory.gradients = [0]
    memory.update(
      AdamW(), 0..<1, step: 1, rate: 1e300, decay: WeightDecay([(0..<1, 1e300)]), scale: 1e300,
      team: ThreadTeam(size: 1))
    #expect(memory.weights == [0])
  }

  @Test func anyCutAndAnyNumberOfThreadsGivesTheSameBits() {
    let count = 100_000
    let decay = WeightDecay([(17..<60_001, 0.1)])
    var whole = Memory(count: count)
    var cut = whole
    let (one, three) = (ThreadTeam(size: 1), ThreadTeam(size: 3))
    for step in 1...3 {
      whole.draw(step: step)
      cut.draw(step: step)
      whole.update(
        AdamW(), 0..<count, step: step, rate: 1e-3, decay: decay, scale: 0.5, team: one)
      for range in [0..<1, 1..<20, 20..<20, 20..<50_003, 50_003..<100_000] {
        cut.update(AdamW(), range, step: step, rate: 1e-3, decay: decay, scale: 0.5, team: three)
      }
    }
    #expect(cut.weights == whole.weights)
    #expect(cut.firstMoment == whole.firstMoment)
    #expect(cut.secondMoment == whole.secondMoment)
  }

  @Test func decayIsCutWhereItChanges() {
    let decay = WeightDecay([(5..<10, 1), (10..<15, 1), (20..<30, 2), (30..<31, 1)])
    for range in [0..<40, 0..<5, 5..<15, 7..<8, 12..<25, 15..<20, 29..<31, 31..<40, 3..<3] {
      let expected = range.map {
        (5..<15).contains($0) || $0 == 30 ? 1.0 : (20..<30).contains($0) ? 2 : 0
      }
      let pieces = decay.pieces(of: range)
      #expect(pieces.flatMap { Array($0.range) } == Array(range))
      #expect(pieces.flatMap { piece in piece.range.map { _ in piece.factor } } == expected)
      #expect(zip(pieces, pieces.dropFirst()).allSatisfy { $0.factor != $1.factor })
    }
  }

  @Test(arguments: [(false, false), (true, false), (false, true), (true, true)])
  func matricesDecayAndOthersOnRequest(norms: Bool, embeddings: Bool) {
    var table = ParameterTable()
    table.addRegion("all")
    for (name, role) in [
      ("e", ParameterRole.embedding), ("m", .matrix), ("n", .norm), ("b", .bias), ("o", .matrix),
    ] {
      _ = table.add(name, [4], role: role, initialization: .constant(0))
    }
    let decay = WeightDecay(table, factor: 0.1, norms: norms, embeddings: embeddings)
    let factors = decay.pieces(of: 0..<20).flatMap { piece in piece.range.map { _ in piece.factor }
    }
    let expected = [embeddings, true, norms, norms, true].flatMap {
      Array(repeating: $0 ? 0.1 : 0, count: 4)
    }
    #expect(factors == expected)
  }
}
