import Autodiff
import Corpora

/// Sums that ranks add up: losses and targets, and answers of the recall task.
public struct LossSums: Sendable, Equatable {
  /// Sum of the losses, in nats.
  public var loss = 0.0
  /// Number of targets.
  public var targets = 0
  /// Answers whose pair lies in the same shard: right ones, all.
  public var inside = Answers()
  /// Answers whose pair lies in an earlier rank's shard.
  public var crossing = Answers()

  /// How many questions were answered, and how many rightly.
  public struct Answers: Sendable, Equatable {
    /// Right answers.
    public var right = 0
    /// Questions.
    public var asked = 0
    /// The share of right answers; nil where nothing was asked.
    public var accuracy: Double? { asked > 0 ? Double(right) / Double(asked) : nil }
  }

  /// Nothing summed yet.
  public init() {}

  /// Losses alone.
  public init(loss: Double, targets: Int) { (self.loss, self.targets) = (loss, targets) }

  /// What a shard gave.
  public init(_ result: HeadResult, batch: TokenBatch) {
    loss = result.sum
    targets = result.targets
    guard batch.origins.count == batch.targets.count else { return }
    for (index, origin) in batch.origins.enumerated() where batch.targets[index] >= 0 {
      let right = result.predictions[index] == batch.targets[index] ? 1 : 0
      if Int(origin) < batch.positions.lowerBound {
        crossing.asked += 1
        crossing.right += right
      } else {
        inside.asked += 1
        inside.right += right
      }
    }
  }

  /// Mean loss a target, in nats.
  public var meanLoss: Double { loss / Double(max(targets, 1)) }

  /// The sums as numbers to be reduced; counts are exact up to 2⁵³.
  var numbers: [Double] {
    [loss] + [targets, inside.right, inside.asked, crossing.right, crossing.asked].map(Double.init)
  }

  init(_ numbers: [Double]) {
    loss = numbers[0]
    targets = Int(numbers[1])
    inside = Answers(right: Int(numbers[2]), asked: Int(numbers[3]))
    crossing = Answers(right: Int(numbers[4]), asked: Int(numbers[5]))
  }

  static func += (sums: inout LossSums, more: LossSums) {
    sums = LossSums(zip(sums.numbers, more.numbers).map(+))
  }
}
