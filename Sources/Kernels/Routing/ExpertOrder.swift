/// The order of tokens' choices by expert: of one expert's, by token.
package enum ExpertOrder {
  /// Counts choices of each expert, sequence by sequence.
  ///
  /// - Parameters:
  ///   - choices: `count` numbers of experts.
  ///   - each: How many choices a sequence has.
  ///   - counts: Shape `[sequences, E]`: receives how often each expert is chosen.
  package static func count(
    _ choices: UnsafePointer<Int32>, count: Int, each: Int, sequences: Int, experts: Int,
    into counts: UnsafeMutablePointer<Int32>
  ) {
    precondition(count == sequences * each, "\(count) choices of \(sequences) sequences of \(each)")
    counts.update(repeating: 0, count: sequences * experts)
    for sequence in 0..<sequences {
      let own = counts + sequence * experts
      for i in sequence * each..<(sequence + 1) * each { own[Int(choices[i])] += 1 }
    }
  }

  /// Sorts choices.
  ///
  /// - Parameters:
  ///   - choices: Numbers of experts, those of one sequence after those of another.
  ///   - each: How many choices a sequence has.
  ///   - counts: Shape `[sequences, E]`: how often each expert is chosen, as `count` gives it.
  ///   - room: Shape `[sequences, E]`: how many choices of each sequence each expert still takes, which becomes what is left;
  ///     nil where experts take all. Those beyond have no place among the sorted.
  ///   - starts: Shape `[E + 1]`: receives where each expert's begin, and how many there are in all.
  ///   - places: Receives the place of each choice among the sorted; negative for none.
  ///   - sources: Receives of each place the choice that stands there.
  package static func sort(
    _ choices: UnsafePointer<Int32>, each: Int, sequences: Int, experts: Int,
    counts: UnsafePointer<Int32>, room: UnsafeMutablePointer<Int32>? = nil,
    starts: UnsafeMutablePointer<Int>, places: UnsafeMutablePointer<Int32>,
    sources: UnsafeMutablePointer<Int32>
  ) {
    var next = 0
    for e in 0..<experts {
      starts[e] = next
      for place in stride(from: e, to: sequences * experts, by: experts) {
        next += Int(room.map { min($0[place], counts[place]) } ?? counts[place])
      }
    }
    starts[experts] = next
    for sequence in 0..<sequences {
      let room = room.map { $0 + sequence * experts }
      for i in sequence * each..<(sequence + 1) * each {
        let expert = Int(choices[i])
        if let room {
          guard room[expert] > 0 else {
            places[i] = -1
            continue
          }
          room[expert] -= 1
        }
        places[i] = Int32(starts[expert])
        sources[starts[expert]] = Int32(i)
        starts[expert] += 1
      }
    }
    // Each start has moved to the next.
    for e in stride(from: experts, to: 0, by: -1) { starts[e] = starts[e - 1] }
    starts[0] = 0
  }
}
