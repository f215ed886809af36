import Foundation

/// Sums that ranks add up: losses and targets, and answers of a generated task.
package struct LossSums: Sendable, Equatable {
  /// Sum of the losses, in nats.
  package var loss = 0.0
  /// Number of targets.
  package var targets = 0
  /// Bytes of text that the targets stand for; 0 where nobody counts them.
  package var bytes = 0
  /// Answers whose pair lies in the same shard: right ones, all.
  package var inside = Answers()
  /// Answers whose pair lies in an earlier rank's shard.
  package var crossing = Answers()

  /// What was minimised beside the loss, in an order that all ranks have.
  package private(set) var terms: [Term] = []

  /// A named part of what is minimised.
  package struct Term: Sendable, Equatable {
    package let name: String
    /// What its sum is multiplied by.
    package let weight: Double
    /// Its sum, without the weight.
    package var sum: Double
    /// How many positions the sum is over; nil where it is over the targets.
    package var positions: Int?

    package init(_ name: String, weight: Double, sum: Double, positions: Int? = nil) {
      (self.name, self.weight, self.sum) = (name, weight, sum)
      self.positions = positions
    }
  }

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

  /// Losses and terms alone.
  package init(loss: Double, targets: Int, terms: [Term] = []) {
    (self.loss, self.targets, self.terms) = (loss, targets, terms)
  }

  /// Adds to a term that is a mean over positions.
  package mutating func add(_ name: String, sum: Double, positions: Int) {
    guard let index = terms.firstIndex(where: { $0.name == name }) else {
      preconditionFailure("nobody declares the loss term \(name)")
    }
    terms[index].sum += sum
    terms[index].positions? += positions
  }

  /// Mean loss a target, in nats; not a number where there is no target.
  package var meanLoss: Double { targets > 0 ? loss / Double(targets) : .nan }

  /// Bits that a byte of text takes under the model; nil where nobody knows how many there are.
  package var bitsPerByte: Double? { bytes > 0 ? loss / log(2) / Double(bytes) : nil }

  /// What is minimised: the mean loss, and every term with its weight.
  package var objective: Double {
    terms.reduce(meanLoss) { $1.weight == 0 ? $0 : $0 + $1.weight * mean($1) }
  }

  /// Mean of a term over the targets or its positions, without its weight; not a number where there are none.
  package func mean(_ term: Term) -> Double {
    let count = term.positions ?? targets
    return count > 0 ? term.sum / Double(count) : .nan
  }

  /// Whether the loss and all terms are numbers.
  package var isFinite: Bool { loss.isFinite && terms.allSatisfy(\.sum.isFinite) }

  /// The sums as numbers to be reduced; counts are exact up to 2⁵³.
  package var numbers: [Double] {
    [loss]
      + [targets, bytes, inside.right, inside.asked, crossing.right, crossing.asked].map(
        Double.init)
      + terms.map(\.sum) + terms.compactMap(\.positions).map(Double.init)
  }

  /// The same terms with what `numbers` gave, here or summed over ranks.
  package func with(_ numbers: [Double]) -> LossSums {
    var sums = self
    sums.loss = numbers[0]
    (sums.targets, sums.bytes) = (Int(numbers[1]), Int(numbers[2]))
    sums.inside = Answers(right: Int(numbers[3]), asked: Int(numbers[4]))
    sums.crossing = Answers(right: Int(numbers[5]), asked: Int(numbers[6]))
    var counts = numbers.dropFirst(7 + terms.count)
    for index in terms.indices {
      sums.terms[index].sum = numbers[7 + index]
      if terms[index].positions != nil { sums.terms[index].positions = Int(counts.removeFirst()) }
    }
    return sums
  }

  /// Adds sums up; terms of the same name are one.
  package static func += (sums: inout LossSums, more: LossSums) {
    if sums.terms.isEmpty {
      sums.terms = more.terms.map {
        Term($0.name, weight: $0.weight, sum: 0, positions: $0.positions.map { _ in 0 })
      }
    }
    precondition(
      more.terms.isEmpty || sums.terms.map(\.name) == more.terms.map(\.name),
      "terms \(more.terms.map(\.name)) are added to \(sums.terms.map(\.name))")
    let (numbers, added) = (sums.numbers, more.numbers)
    sums = sums.with(numbers.indices.map { numbers[$0] + ($0 < added.count ? added[$0] : 0) })
  }
}
