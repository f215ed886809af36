import MessagePassing
import Models
import Tensors
import Testing

@testable import Training

/// What the last step of a small run gave, over all ranks.
struct StepGradients: Sendable {
  var loss: Double
  var terms: [Double]
  /// Choices of experts that none took.
  var dropped: Int
  /// The gradient sums of all parameters; zero where they are not trained.
  var gradients: [Float]
  /// Bytes that went to experts and back.
  var sent: Int

  /// Checks that all of it is another's, each parameter's gradient to 5e-5 of its norm, or of 1e-2 of the norm of all where that
  /// is more; a gradient that hangs on rounding more than that, to twice what others have it apart.
  ///
  /// - Parameter others: Gives what grids that have nothing to be tested differ by.
  func check(
    _ right: StepGradients, _ table: ParameterTable, _ words: String = "",
    beside others: () throws -> [StepGradients]
  ) rethrows {
    func norm(_ numbers: some Sequence<Float>) -> Double {
      numbers.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    }
    #expect(abs(loss - right.loss) <= 1e-5 * right.loss, "\(words)")
    #expect(terms.count == right.terms.count && dropped == right.dropped, "\(words)")
    for (a, b) in zip(terms, right.terms) { #expect(abs(a - b) <= 1e-5 * abs(b), "\(words)") }
    let whole = norm(right.gradients)
    #expect(whole > 0)
    var usual: [StepGradients]?
    for entry in table.entries {
      let one = right.gradients[entry.range]
      func difference(_ other: StepGradients) -> Double {
        norm(zip(one, other.gradients[entry.range]).lazy.map { $0 - $1 })
      }
      let (found, limit) = (difference(self), 5e-5 * max(norm(one), 1e-2 * whole))
      guard found > limit else { continue }
      let known = try usual ?? others()
      usual = known
      let most = known.map(difference).max() ?? 0
      #expect(
        found <= 2 * most, "\(entry.name) \(words): \(found) of \(limit), others \(most)")
    }
  }
}

extension SmallRun {
  /// Trains all steps on ranks that are threads, and looks at the last one's gradients, which are not clipped.
  ///
  /// - Parameter prepare: Changes weights before the first step.
  func gradients(
    ranks: Int, prepare: @Sendable (TrainingRun) -> Void = { _ in }
  ) throws -> StepGradients {
    let all = try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      let run = try make(on: world)
      prepare(run)
      var found = StepGradients(
        loss: 0, terms: [], dropped: 0,
        gradients: [Float](repeating: 0, count: run.model.table.count), sent: 0)
      for step in 0..<configuration.training.steps {
        run.context.counters.reset()
        let outcome = try run.step(step)
        found.loss = outcome.loss
        found.terms = outcome.sums.terms.map(outcome.sums.mean)
        found.dropped = outcome.experts?.dropped ?? 0
        found.sent = run.context.counters.expertBytesSent
      }
      try run.store.settle(polling: run.context.workspace.poll)
      var own: [Range<Int>] = []
      for part in run.store.parts where !part.range.isEmpty {
        own.append(part.range)
        for place in part.range {
          found.gradients[place] = part.gradients[place - part.range.lowerBound]
        }
      }
      return (found: found, own: own, trained: run.model.table.trainable.count)
    }
    var sum = all[0].found
    for other in all.dropFirst() {
      #expect(other.found.loss == sum.loss && other.found.terms == sum.terms)
      for range in other.own {
        sum.gradients.replaceSubrange(range, with: other.found.gradients[range])
      }
      sum.sent += other.found.sent
    }
    // Each number that is trained is one rank's.
    let own = all.flatMap(\.own).sorted { $0.lowerBound < $1.lowerBound }
    for (one, next) in zip(own, own.dropFirst()) { #expect(one.upperBound <= next.lowerBound) }
    #expect(own.reduce(0) { $0 + $1.count } == all[0].trained)
    return sum
  }
}
