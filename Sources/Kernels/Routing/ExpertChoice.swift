import Tensors

/// The choice of experts for tokens, the weights of the chosen, and its twin.
///
/// Of experts of one score the one with the lower number is chosen. A token's choices stand in the order of the experts'
/// numbers, so that sums over them have one order whatever their scores.
package enum ExpertChoice {
  /// Chooses for rows of logits.
  ///
  /// - Parameters:
  ///   - logits: Shape `[N, E]`; becomes the scores.
  ///   - correction: Shape `[E]`: added to scores for the choice alone; nil for nothing.
  ///   - choices: Shape `[N, k]`.
  ///   - isGiven: Whether the choices stand there already, and are weighed alone.
  ///   - weights: Shape `[N, k]`.
  ///   - logSums: Shape `[N]`: receives `log Σ exp(l)`; nil where nobody asks.
  ///   - margins: Shape `[N]`: receives how far the choice is from another one, in what experts are chosen by: by how much the
  ///     last of the chosen is better than the best of the others, or the last of the best groups than the best of the other
  ///     groups where that is less; infinite where there is no other choice. Nil where nobody asks.
  ///   - candidates: Scratch, `[E]`.
  ///   - rows: Which rows.
  package static func forward(
    _ logits: UnsafeMutablePointer<Float>, correction: UnsafePointer<Float>?, _ rule: RoutingRule,
    choices: UnsafeMutablePointer<Int32>, isGiven: Bool = false,
    weights: UnsafeMutablePointer<Float>,
    logSums: UnsafeMutablePointer<Float>?, margins: UnsafeMutablePointer<Float>? = nil,
    candidates: UnsafeMutablePointer<Float>, rows: Range<Int>
  ) {
    let (experts, chosen) = (rule.experts, rule.chosen)
    for row in rows {
      let scores = logits + row * experts
      // The order of logits is that of scores, and rounds less.
      if rule.score == .softmax, correction == nil {
        candidates.update(from: scores, count: experts)
      }
      let logSums = logSums.map { $0 + row }
      switch rule.score {
      case .softmax: softmax(scores, count: experts, logSum: logSums)
      case .sigmoid:
        if let logSums { logSums.pointee = logSum(scores, count: experts) }
        for e in 0..<experts { scores[e] = VectorMath.sigmoid(scores[e]) }
      }
      if let correction {
        for e in 0..<experts { candidates[e] = scores[e] + correction[e] }
      } else if rule.score == .sigmoid {
        candidates.update(from: scores, count: experts)
      }
      let ofGroups =
        rule.bestGroups < rule.groups ? leaveBestGroups(candidates, rule) : .infinity
      let own = choices + row * chosen
      if !isGiven { choose(candidates, count: experts, into: own, chosen) }
      if let margins { margins[row] = min(ofGroups, margin(candidates, own, rule)) }
      weigh(scores, own, rule, into: weights + row * chosen)
    }
  }

  /// Turns gradients of weights into those of logits.
  ///
  /// - Parameters:
  ///   - scores: Shape `[N, E]`, from `forward`.
  ///   - choices: Shape `[N, k]`, from `forward`.
  ///   - weights: Shape `[N, k]`, from `forward`.
  ///   - dWeights: Shape `[N, k]`.
  ///   - scoreGradient: Shape `[E]`: what each score's gradient gets beside, such as that of a loss for balance; nil for
  ///     nothing.
  ///   - logSums: Shape `[N]`, and what the gradient of the square of each is multiplied by; nil for nothing.
  ///   - dLogits: Receives the gradients, `[N, E]`.
  ///   - rows: Which rows.
  package static func backward(
    _ scores: UnsafePointer<Float>, _ choices: UnsafePointer<Int32>,
    _ weights: UnsafePointer<Float>, _ rule: RoutingRule, dWeights: UnsafePointer<Float>,
    scoreGradient: UnsafePointer<Float>?, logSums: (UnsafePointer<Float>, factor: Float)?,
    into dLogits: UnsafeMutablePointer<Float>, rows: Range<Int>
  ) {
    let (experts, chosen) = (rule.experts, rule.chosen)
    for row in rows {
      let (scores, choices) = (scores + row * experts, choices + row * chosen)
      let (weights, dWeights) = (weights + row * chosen, dWeights + row * chosen)
      let d = dLogits + row * experts
      if let scoreGradient {
        d.update(from: scoreGradient, count: experts)
      } else {
        d.update(repeating: 0, count: experts)
      }
      var (sum, anchor, mean) = (Float(1), Float(0), Float(0))
      if rule.isRenormalized {
        let added: Float
        (sum, added) = total(scores, choices, rule)
        // Relative to the gradient of the greatest weight, so that little is left where that is almost all, and nothing where
        // it is all; by the weights without their common factor, which are 1 in all but for what was added to their sum.
        anchor = dWeights[(0..<chosen).max { weights[$0] < weights[$1] } ?? 0]
        mean = -anchor * (added / sum)
        for j in 0..<chosen { mean += (dWeights[j] - anchor) * (weights[j] / rule.scale) }
      }
      for j in 0..<chosen {
        d[Int(choices[j])] += rule.scale * (dWeights[j] - anchor - mean) / sum
      }
      switch rule.score {
      case .sigmoid:
        for e in 0..<experts { d[e] *= scores[e] * (1 - scores[e]) }
      case .softmax:
        let dot = Reduction.dot(d, scores, experts)
        for e in 0..<experts { d[e] = scores[e] * (d[e] - dot) }
      }
      if let (logSums, factor) = logSums {
        switch rule.score {
        case .softmax:
          let share = 2 * factor * logSums[row]
          for e in 0..<experts { d[e] += share * scores[e] }
        case .sigmoid:
          // exp(l) = s / (1 − s), and log Σ exp(l) is known.
          let share = 2 * factor * logSums[row]
          for e in 0..<experts {
            let logit = VectorMath.log(scores[e]) - VectorMath.log(1 - scores[e])
            d[e] += share * VectorMath.exp(logit - logSums[row])
          }
        }
      }
    }
  }

  /// `log Σ exp(l)`.
  private static func logSum(_ logits: UnsafePointer<Float>, count: Int) -> Float {
    var most = logits[0]
    for e in 1..<max(count, 1) { most = max(most, logits[e]) }
    var sum: Float = 0
    for e in 0..<count { sum += VectorMath.exp(logits[e] - most) }
    return most + VectorMath.log(sum)
  }

  /// Their softmax in the place of logits.
  ///
  /// - Parameter logSum: Receives `log Σ exp(l)`; nil where nobody asks.
  private static func softmax(
    _ logits: UnsafeMutablePointer<Float>, count: Int, logSum: UnsafeMutablePointer<Float>?
  ) {
    let most = Reduction.extremes(logits, count).largest
    for e in 0..<count { logits[e] = VectorMath.exp(logits[e] - most) }
    let sum = Reduction.sum(logits, count)
    if let logSum { logSum.pointee = most + VectorMath.log(sum) }
    let inverse = 1 / sum
    for e in 0..<count { logits[e] *= inverse }
  }

  /// Lets experts outside the best groups be chosen by nobody.
  ///
  /// - Returns: By how much the last of these is better than the best of the others.
  private static func leaveBestGroups(
    _ candidates: UnsafeMutablePointer<Float>, _ rule: RoutingRule
  ) -> Float {
    let size = rule.experts / rule.groups
    // The worth of a group: its two best.
    let worth = (0..<rule.groups).map { group in
      var (first, second) = (-Float.infinity, -Float.infinity)
      for e in group * size..<(group + 1) * size {
        if candidates[e] > first {
          (first, second) = (candidates[e], first)
        } else if candidates[e] > second {
          second = candidates[e]
        }
      }
      return size > 1 ? first + second : first
    }
    var (least, greatest) = (Float.infinity, -Float.infinity)
    for group in 0..<rule.groups {
      let better = (0..<rule.groups).count {
        worth[$0] > worth[group] || (worth[$0] == worth[group] && $0 < group)
      }
      guard better >= rule.bestGroups else {
        least = min(least, worth[group])
        continue
      }
      greatest = max(greatest, worth[group])
      for e in group * size..<(group + 1) * size { candidates[e] = -.infinity }
    }
    return least - greatest
  }

  /// By how much the last of the chosen is better than the best of the others.
  private static func margin(
    _ candidates: UnsafePointer<Float>, _ choices: UnsafePointer<Int32>, _ rule: RoutingRule
  ) -> Float {
    var (least, greatest, next) = (Float.infinity, -Float.infinity, 0)
    for e in 0..<rule.experts {
      if next < rule.chosen, Int(choices[next]) == e {
        least = min(least, candidates[e])
        next += 1
      } else {
        greatest = max(greatest, candidates[e])
      }
    }
    return least - greatest
  }

  /// The experts with the greatest numbers, in their own order.
  private static func choose(
    _ candidates: UnsafePointer<Float>, count: Int, into choices: UnsafeMutablePointer<Int32>,
    _ chosen: Int
  ) {
    // Best first; what is no number is passed by, so that there are always as many.
    for e in 0..<count {
      var place = min(e, chosen)
      while place > 0, candidates[e] > candidates[Int(choices[place - 1])] { place -= 1 }
      guard place < chosen else { continue }
      var last = min(e, chosen - 1)
      while last > place {
        choices[last] = choices[last - 1]
        last -= 1
      }
      choices[place] = Int32(e)
    }
    for j in 1..<max(chosen, 1) {
      let expert = choices[j]
      var place = j
      while place > 0, choices[place - 1] > expert {
        choices[place] = choices[place - 1]
        place -= 1
      }
      choices[place] = expert
    }
  }

  /// What the weights of the chosen are divided by, and how much of it is not theirs.
  private static func total(
    _ scores: UnsafePointer<Float>, _ choices: UnsafePointer<Int32>, _ rule: RoutingRule
  ) -> (sum: Float, added: Float) {
    var own: Float = 0
    for j in 0..<rule.chosen { own += scores[Int(choices[j])] }
    // The other project adds this to the scores of a sigmoid; of a softmax, the greatest may not be among the chosen.
    let sum = max(own + (rule.score == .sigmoid ? 1e-20 : 0), .leastNormalMagnitude)
    return (sum, sum - own)
  }

  private static func weigh(
    _ scores: UnsafePointer<Float>, _ choices: UnsafePointer<Int32>, _ rule: RoutingRule,
    into weights: UnsafeMutablePointer<Float>
  ) {
    // One that is chosen alone has the whole weight, to the last bit.
    let sum = rule.isRenormalized ? total(scores, choices, rule).sum : 1
    for j in 0..<rule.chosen { weights[j] = rule.scale * (scores[Int(choices[j])] / sum) }
  }
}
