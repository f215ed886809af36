import Configuration
import Tensors

/// Associative recall: pairs early in the sequence, questions about them later.
///
/// Concretely: each key gets a random value. The first part of the sequence holds one token for each
/// (key, value) pair, at random places. Every other place is a question with the query density's
/// probability: a key whose pair has been read, and the target is its value. All else is filler without
/// a target. A model answers better than one in `values` only if its state carries the pairs across the
/// filler, and across every rank in between.
///
/// | tokens | are |
/// |---|---|
/// | `key · values + value` | pairs |
/// | `keys · values + key` | keys, as queries |
/// | `keys · values + keys + value` | values, as targets |
/// | `keys · values + keys + values` | filler |
package struct RecallTask: TaskCorpus {
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
    var task = self
    task.purpose = .heldOutRecall
    return task
  }

  /// Number of keys, each in one pair.
  package let keys: Int
  /// Number of values that a key may have.
  package let values: Int
  package var depth: TaskDepth { .answer }
  /// Share of guessed answers that are right.
  package var chance: Double { 1 / Double(values) }
  /// Number of different tokens.
  package var vocabulary: Int { keys * values + keys + values + 1 }

  /// Number of places at the sequence's start that may hold a pair.
  let pairPlaces: Int
  private let queryDensity: Double
  private let seed: UInt64
  private var purpose = Random.CorpusPurpose.recall

  /// Makes the task.
  ///
  /// - Parameters:
  ///   - keys: Number of keys.
  ///   - values: Number of values.
  ///   - pairFraction: Share of the sequence, from its start, in which the pairs stand.
  ///   - queryDensity: Share of the places after it that are queries.
  ///   - length: Tokens of a sequence.
  ///   - batch: Sequences of a step.
  ///   - seed: The run's seed.
  /// - Throws: `CorpusError.noRoomForPairs` when the sequence is too short.
  package init(
    keys: Int = 4, values: Int = 4, pairFraction: Double = 0.25, queryDensity: Double = 0.25,
    length: Int, batch: Int, seed: UInt64
  ) throws(CorpusError) {
    precondition(keys > 0 && values > 0, "\(keys) keys of \(values) values")
    precondition(length > 0 && batch > 0, "\(batch) sequences of \(length) tokens")
    self.keys = keys
    self.values = values
    self.length = length
    self.batch = batch
    self.queryDensity = queryDensity
    self.seed = seed
    pairPlaces = Int(Double(length) * pairFraction)
    guard pairPlaces >= keys, pairPlaces < length else {
      throw .noRoomForPairs(keys: keys, places: pairPlaces, length: length)
    }
  }

  /// Overwrites a batch's tokens with those of a step.
  package func fill(_ batch: inout TokenBatch, step: Int) {
    batch.check(self)
    if batch.origins.count != batch.inputs.count {
      batch.origins = Array(repeating: -1, count: batch.inputs.count)
    }
    for (place, row) in batch.rows.enumerated() {
      let first = place * batch.positions.count
      let random = Random(seed: seed, purpose, item: UInt64(step * self.batch + row))
      // Indices of random numbers: a place in the sequence, and above 2^40 the pairs.
      let order = Permutation(count: pairPlaces, random: random)
      func pair(_ key: Int) -> (place: Int, value: Int) {
        (order[key], random.integer(below: values, at: 1 << 40 | UInt64(key)))
      }
      for (index, position) in batch.positions.enumerated() {
        var input = keys * values + keys + values
        var (target, origin) = (-1, -1)
        // A question may come as soon as its pair has been read; later ones cross every shard between.
        if let key = query(at: position, random), case let pair = pair(key), pair.place < position {
          input = keys * values + key
          (target, origin) = (keys * values + keys + pair.value, pair.place)
        }
        batch.inputs[first + index] = Int32(input)
        batch.targets[first + index] = Int32(target)
        batch.origins[first + index] = Int32(origin)
      }
      for key in 0..<keys {
        let pair = pair(key)
        if batch.positions.contains(pair.place) {
          let index = first + pair.place - batch.positions.lowerBound
          batch.inputs[index] = Int32(key * values + pair.value)
          (batch.targets[index], batch.origins[index]) = (-1, -1)
        }
      }
    }
  }

  /// The key that is asked for at a position, or nil where nothing is.
  private func query(at position: Int, _ random: Random) -> Int? {
    let bits = random.bits(at: 1 << 41 | UInt64(position))
    guard Double(bits[0]) * 0x1p-32 < queryDensity else { return nil }
    return Int((UInt64(bits[1]) * UInt64(keys)) >> 32)
  }
}

extension RecallTask: GeneratedTask {
  package static let task = "recall"
  package static var section: (any ConfigurationSection.Type)? { nil }
  package static func problems(_ data: DataSection) -> [KeyProblem] { [] }

  package static func corpus(
    _ data: DataSection, length: Int, batch: Int, seed: UInt64
  ) throws(CorpusError) -> any TaskCorpus {
    try RecallTask(
      keys: data.recallKeys, values: data.recallValues, pairFraction: data.recallKeyFraction,
      queryDensity: data.recallQueryFraction, length: length, batch: batch, seed: seed)
  }
}
