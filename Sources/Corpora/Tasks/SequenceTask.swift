import Configuration
import Tensors

/// A task whose sequences are written one by one, and whose keys are a section of their own.
///
/// A new one is a file with such a section, and its line in `Tasks.all`.
package protocol SequenceTask: GeneratedTask, ConfigurationSection {
  /// What its answers are told apart by.
  static var depth: TaskDepth { get }
  /// Number of different tokens, inputs and targets.
  var vocabulary: Int { get }
  /// Share of guessed answers that are right.
  var chance: Double { get }
  /// Makes what writes sequences of a length.
  ///
  /// - Throws: `CorpusError` when they have no room for what the keys ask for.
  func writer(length: Int) throws(CorpusError) -> TaskWriter
}

/// Writes one sequence, a function of the random numbers alone.
package typealias TaskWriter =
  @Sendable (inout TaskSequence, inout Draws) throws(CorpusError) -> Void

extension SequenceTask {
  /// The section's name without `data.`.
  package static var task: String { String(name.dropFirst(DataSection.name.count + 1)) }
  package static var section: (any ConfigurationSection.Type)? { Self.self }
  package static func problems(_ data: DataSection) -> [KeyProblem] {
    data.subsections[Self.self].problems
  }
  package static func corpus(
    _ data: DataSection, length: Int, batch: Int, seed: UInt64
  ) throws(CorpusError) -> any TaskCorpus {
    try WrittenCorpus(data.subsections[Self.self], length: length, batch: batch, seed: seed)
  }

  /// The error for a sequence that is too short.
  ///
  /// - Parameters:
  ///   - length: Tokens of a sequence.
  ///   - least: How many it needs.
  ///   - what: What takes them, with the keys to change.
  static func noRoom(length: Int, least: Int, _ what: String) -> CorpusError {
    .noRoomForTask(task: task, length: length, least: least, what: what)
  }
}

/// One sequence of a task.
package struct TaskSequence: Sendable {
  /// The tokens read.
  package var inputs: [Int32]
  /// The answer at each position; −1 where nothing is asked.
  package var targets: [Int32]
  /// Where the earliest token stands that the answer depends on; −1 where nothing is asked.
  package var origins: [Int32]
  /// Where documents begin; empty where the sequence is one.
  package var documentStarts: [Int] = []

  /// Number of tokens.
  package var length: Int { inputs.count }

  init(length: Int) {
    inputs = Array(repeating: 0, count: length)
    targets = Array(repeating: -1, count: length)
    origins = targets
  }

  /// Fills the inputs with one token, and asks nothing.
  mutating func clear(with token: Int) {
    for i in inputs.indices { (inputs[i], targets[i], origins[i]) = (Int32(token), -1, -1) }
    documentStarts = []
  }

  /// Asks a question.
  mutating func ask(at position: Int, answer: Int, origin: Int) {
    targets[position] = Int32(answer)
    origins[position] = Int32(origin)
  }
}

/// Random numbers drawn one after another from the stream of one sequence.
package struct Draws {
  private let random: Random
  private var count: UInt64 = 0

  init(_ random: Random) { self.random = random }

  /// An integer in `0..<bound`.
  mutating func integer(below bound: Int) -> Int {
    count += 1
    return random.integer(below: bound, at: count - 1)
  }

  /// A number in [0, 1).
  mutating func uniform() -> Double {
    count += 1
    return random.uniform(at: count - 1)
  }

  /// Some of `0..<bound`, each at most once, ascending; every choice is equally likely.
  ///
  /// - Source: Bentley and Floyd, "A sample of brilliance" (CACM 30, 1987).
  mutating func distinct(_ wanted: Int, below bound: Int) -> [Int] {
    var chosen: Set<Int> = []
    for next in bound - wanted..<bound {
      let drawn = integer(below: next + 1)
      if !chosen.insert(drawn).inserted { chosen.insert(next) }
    }
    return chosen.sorted()
  }

  /// Puts items into a random order.
  ///
  /// - Source: Fisher and Yates.
  mutating func shuffle<Item>(_ items: inout [Item]) {
    for last in items.indices.dropFirst().reversed() {
      items.swapAt(last, integer(below: last + 1))
    }
  }
}

/// The sequences of a task that writes them one by one.
///
/// Every rank writes the whole of each sequence that it has a part of.
package struct WrittenCorpus: TaskCorpus {
  package let vocabulary: Int
  package let chance: Double
  package let depth: TaskDepth
  /// Tokens of a sequence.
  package let length: Int
  /// Sequences of a step.
  package let batch: Int
  /// Nil: there is always another sequence.
  package var steps: Int? { nil }
  /// Whether the tokens are bytes of text.
  package var tokensAreBytes: Bool { false }
  /// Sequences of random numbers of their own.
  package var heldOut: (any Corpus)? {
    var corpus = self
    corpus.purpose = .heldOutTask
    return corpus
  }

  private let seed: UInt64
  private let write: TaskWriter
  private var purpose = Random.CorpusPurpose.task

  /// Prepares a task.
  ///
  /// - Throws: `CorpusError` when the keys do not fit the length.
  init<Task: SequenceTask>(
    _ task: Task, length: Int, batch: Int, seed: UInt64
  ) throws(CorpusError) {
    precondition(length > 0 && batch > 0, "\(batch) sequences of \(length) tokens")
    (vocabulary, chance, depth) = (task.vocabulary, task.chance, Task.depth)
    (self.length, self.batch, self.seed) = (length, batch, seed)
    write = try task.writer(length: length)
  }

  /// Overwrites a batch's tokens with those of a step.
  package func fill(_ batch: inout TokenBatch, step: Int) throws(CorpusError) {
    batch.check(self)
    if batch.origins.count != batch.inputs.count {
      batch.origins = Array(repeating: -1, count: batch.inputs.count)
    }
    var sequence = TaskSequence(length: length)
    for (place, row) in batch.rows.enumerated() {
      let item = UInt64(step * self.batch + row)
      var draws = Draws(Random(seed: seed, purpose, item: item))
      try write(&sequence, &draws)
      let first = place * batch.positions.count
      for (index, position) in batch.positions.enumerated() {
        batch.inputs[first + index] = sequence.inputs[position]
        batch.targets[first + index] = sequence.targets[position]
        batch.origins[first + index] = sequence.origins[position]
      }
      batch.documentStarts[place] = sequence.documentStarts
    }
  }
}
