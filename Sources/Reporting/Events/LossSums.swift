/// Sums that ranks add up: losses and targets, and answers of the recall task.
package struct LossSums: Sendable, Equatable {
  /// Sum of the losses, in nats.
  package var loss = 0.0
  /// Number of targets.
  package var targets = 0
  /// Answers whose pair lies in the same shard: right ones, all.
  package var inside = Answers()
  /// Answers whose pair lies in an earlier rank's shard.
  package var crossing = Answers()

  /// How many questions were answered, and how many rightly.
  package struct Answers: Sendable, Equatable {
    /// Right answers.
    package var right = 0
    package var asked = 0

    /// Counts answers.
    package init(right: Int = 0, asked: Int = 0) { (self.right, self.asked) = (right, asked) }

    /// The share of right answers; nil where nothing was asked.
    package var accuracy: Double? { asked > 0 ? Double(right) / Double(asked) : nil }
  }

  /// Nothing summed yet.
  package init() {}

  /// Losses alone.
  package init(loss: Double, targets: Int) { (self.loss, self.targets) = (loss, targets) }

  /// Mean loss a target, in nats.
  package var meanLoss: Double { loss / Double(max(targets, 1)) }

  /// The sums as numbers to be reduced; counts are exact up to 2⁵³.
  package var numbers: [Double] {
    [loss] + [targets, inside.right, inside.asked, crossing.right, crossing.asked].map(Double.init)
  }

  /// Reads what `numbers` gave.
  package init(_ numbers: [Double]) {
    loss = numbers[0]
    targets = Int(numbers[1])
    inside = Answers(right: Int(numbers[2]), asked: Int(numbers[3]))
    crossing = Answers(right: Int(numbers[4]), asked: Int(numbers[5]))
  }

  /// Adds sums up.
  package static func += (sums: inout LossSums, more: LossSums) {
    sums = LossSums(zip(sums.numbers, more.numbers).map(+))
  }
}
