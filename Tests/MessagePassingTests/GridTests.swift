import MessagePassing
import Testing

@Suite struct GridTests {
  @Test(
    "What is left out of the grid follows from the number of ranks",
    arguments: [
      (8, 0, 0, 8, 1), (8, 2, 0, 2, 4), (8, 0, 2, 4, 2), (6, 3, 2, 3, 2), (1, 0, 0, 1, 1),
      (5, 0, 5, 1, 5),
    ])
  func derives(ranks: Int, sequence: Int, data: Int, sequenceIs: Int, dataIs: Int) throws {
    let shape = try GridShape(ranks: ranks, sequence: sequence, data: data)
    #expect((shape.sequence, shape.data) == (sequenceIs, dataIs))
  }

  @Test(
    "A grid that does not fit prints the whole equation",
    arguments: [
      (8, 3, 2, "parallel.data 2 × parallel.sequence 3 = 6 ranks, but 8 were started"),
      (8, 3, 0, "parallel.sequence 3 × a whole number of groups cannot be 8 ranks"),
      (8, 0, 5, "parallel.data 5 × a whole number of ranks cannot be 8 ranks"),
      (2, 4, 0, "parallel.sequence 4 × a whole number of groups cannot be 2 ranks"),
      (2, -1, 2, "negative"),
    ])
  func refuses(ranks: Int, sequence: Int, data: Int, sentence: String) throws {
    let error = try #require(throws: MessagePassingError.self) {
      try GridShape(ranks: ranks, sequence: sequence, data: data)
    }
    #expect("\(error)".contains(sentence))
  }
}
