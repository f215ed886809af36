/// The order of tokens' choices by expert: of one expert's, by token.
package enum ExpertOrder {
  /// Sorts choices.
  ///
  /// - Parameters:
  ///   - choices: `count` numbers of experts.
  ///   - room: How many choices of each sequence each expert still takes, `[sequences, E]`, which becomes what is left, and how
  ///     many choices a sequence has; nil where experts take all. Those beyond have no place among the sorted.
  ///   - starts: Shape `[E + 1]`: receives where each expert's begin, and how many there are in all.
  ///   - places: Shape `[count]`: receives the place of each choice among the sorted; negative for none.
  ///   - sources: Shape `[count]`: receives of each place the choice that stands there.
  package static func sort(
    _ choices: UnsafePointer<Int32>, count: Int, experts: Int,
    room: (UnsafeMutablePointer<Int32>, choices: Int)? = nil,
    starts: UnsafeMutablePointer<Int>, places: UnsafeMutablePointer<Int32>,
    sources: UnsafeMutablePointer<Int32>
  ) {
    starts.update(repeating: 0, count: experts + 1)
    for i in 0..<count {
      places[i] = 0
      if let (room, each) = room {
        let place = i / each * experts + Int(choices[i])
        guard room[place] > 0 else {
          places[i] = -1
          continue
        }
        room[place] -= 1
      }
      starts[Int(choices[i]) + 1] += 1
    }
    for e in 0..<experts { starts[e + 1] += starts[e] }
    for i in 0..<count where places[i] == 0 {
      let expert = Int(choices[i])
      places[i] = Int32(starts[expert])
      sources[starts[expert]] = Int32(i)
      starts[expert] += 1
    }
    // Each start has moved to the next.
    for e in stride(from: experts, to: 0, by: -1) { starts[e] = starts[e - 1] }
    starts[0] = 0
  }
}
