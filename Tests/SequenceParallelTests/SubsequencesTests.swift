import Testing

@testable import SequenceParallel

@Suite("Chunks of subsequences")
struct SubsequencesTests {
  /// The most chunks over all ways in which as many rows fall on groups, none of which has more than there are tokens.
  private func most(of length: Int, tokens: Int, rows: Int, groups: Int) -> Int {
    guard groups > 0 else { return rows == 0 ? 0 : -1000 }
    return (0...min(tokens, rows)).map { own in
      (own + length - 1) / length
        + most(of: length, tokens: tokens, rows: rows - own, groups: groups - 1)
    }.max()!
  }

  @Test("The most that choices can begin are the most of all choices", arguments: 1...4)
  func most(groups: Int) {
    for chosen in 1...groups {
      for tokens in 0...9 {
        for length in 1...5 {
          let right = most(of: length, tokens: tokens, rows: tokens * chosen, groups: groups)
          let told = Subsequences.mostChunks(
            of: length, tokens: tokens, choosing: chosen, of: groups)
          #expect(told == right, "\(tokens) tokens in chunks of \(length), \(chosen) each")
        }
      }
    }
  }
}
