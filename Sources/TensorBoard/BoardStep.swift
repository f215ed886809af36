/// What TensorBoard shows of a step.
package struct BoardStep: Sendable {
  /// Its number, from 1.
  package var number: Int
  /// When it was done: seconds since 1970.
  package var time: Double
  package var loss, gradientNorm, learningRate, tokensPerSecond, gigaflops: Double
  /// What is added to the loss, by name: weight times mean.
  package var terms: [String: Double] = [:]
  /// Shares of right answers, where there is a task.
  package var recallInside, recallCrossing: Double?
  /// Share of the step's time that each rank waits for states, and for sums, in rank order; empty where it is not known.
  package var stateWaits: [Double] = []
  package var sumWaits: [Double] = []
  /// Most memory of any rank so far, in bytes.
  package var memory: Double?

  package init(
    number: Int, time: Double, loss: Double, gradientNorm: Double, learningRate: Double,
    tokensPerSecond: Double, gigaflops: Double
  ) {
    (self.number, self.time, self.loss) = (number, time, loss)
    (self.gradientNorm, self.learningRate) = (gradientNorm, learningRate)
    (self.tokensPerSecond, self.gigaflops) = (tokensPerSecond, gigaflops)
  }

  /// Ranks whose waits have curves of their own, at most: more would bury the others.
  static let ranks = 16

  /// Its numbers by the names under which TensorBoard sorts them.
  var scalars: [(String, Double)] {
    var scalars = [
      ("loss/train", loss), ("optimizer/gradient_norm", gradientNorm),
      ("optimizer/learning_rate", learningRate), ("speed/tokens_per_second", tokensPerSecond),
      ("speed/gigaflops", gigaflops),
    ]
    scalars += terms.sorted { $0.key < $1.key }.map { ("loss/terms/\($0.key)", $0.value) }
    scalars += Self.answers("train", recallInside, recallCrossing)
    scalars += Self.waits("wait_for_states", stateWaits) + Self.waits("wait_for_sums", sumWaits)
    if let memory { scalars.append(("memory/most_bytes", memory)) }
    return scalars
  }

  static func answers(
    _ name: String, _ inside: Double?, _ crossing: Double?
  ) -> [(String, Double)] {
    [("inside", inside), ("crossing", crossing)].compactMap { place, value in
      value.map { ("answers/\(name)_\(place)", $0) }
    }
  }

  private static func waits(_ name: String, _ shares: [Double]) -> [(String, Double)] {
    guard shares.count > 1 else { return [] }
    let sorted = shares.sorted()
    let summary = [
      ("\(name)/least", sorted[0]), ("\(name)/median", sorted[sorted.count / 2]),
      ("\(name)/most", sorted[sorted.count - 1]),
    ]
    guard shares.count <= ranks else { return summary }
    return summary
      + shares.enumerated().map { rank, share in
        ("\(name)/rank_\(rank < 10 ? "0" : "")\(rank)", share)
      }
  }
}

/// What TensorBoard shows of an evaluation.
package struct BoardEvaluation: Sendable {
  /// Steps done.
  package var step: Int
  /// When it was: seconds since 1970.
  package var time: Double
  package var loss: Double
  package var bitsPerByte, perplexity, recallInside, recallCrossing: Double?

  package init(step: Int, time: Double, loss: Double) {
    (self.step, self.time, self.loss) = (step, time, loss)
  }

  var scalars: [(String, Double)] {
    [("loss/held_out", loss)]
      + [("held_out/bits_per_byte", bitsPerByte), ("held_out/perplexity", perplexity)].compactMap {
        name, value in value.map { (name, $0) }
      } + BoardStep.answers("held_out", recallInside, recallCrossing)
  }
}
