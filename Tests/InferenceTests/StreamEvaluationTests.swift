import Configuration
import Corpora
import Foundation
import MessagePassing
import SequenceParallel
import Reporting
import Tensors
import Testing

@testable import Inference

@Suite("A file evaluated as one stream")
struct StreamEvaluationTests {
  init() { BLAS.setThreads(1) }

  /// Sums over a file of 97 tokens below 17, read in windows of `length` tokens.
  private func evaluate(
    _ fixture: Fixture, length: Int, tokens: Int? = nil, ranks: Int
  ) throws -> LossSums {
    let path = NSTemporaryDirectory() + "lasp-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: path) }
    let bytes = (0..<97).map { UInt8($0 * $0 % 17) }
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    var data = DataSection()
    data.path = [WeightedPath(path: path)]
    let (shared, parallel) = (data, ParallelSection())
    return try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      try StreamEvaluation(
        modelFolder: fixture.file(), data: shared, length: length, tokens: tokens,
        parallel: parallel, world: world,
        workspace: Workspace()
      ).run().sums
    }[0]
  }

  @Test("The loss does not depend on the windows nor on the ranks", arguments: Fixture.all)
  func windows(fixture: Fixture) throws {
    let whole = try evaluate(fixture, length: 96, ranks: 1)
    #expect(whole.targets == 96)
    for (length, ranks) in [(96, 3), (7, 1), (20, 3), (32, 4), (3, 5)] {
      let sums = try evaluate(fixture, length: length, ranks: ranks)
      #expect(sums.targets == 96, "windows of \(length), \(ranks) ranks")
      #expect(
        abs(sums.loss - whole.loss) <= 1e-6 * whole.loss, "windows of \(length), \(ranks) ranks")
    }
  }

  @Test("As many tokens are predicted as are asked for, whatever the windows and ranks")
  func tokens() throws {
    let fixture = try #require(Fixture.all.first)
    let whole = try evaluate(fixture, length: 50, tokens: 50, ranks: 1)
    #expect(whole.targets == 50)
    for (length, ranks) in [(7, 1), (20, 3), (96, 2)] {
      let sums = try evaluate(fixture, length: length, tokens: 50, ranks: ranks)
      #expect(sums.targets == 50, "windows of \(length), \(ranks) ranks")
      #expect(abs(sums.loss - whole.loss) <= 1e-6 * whole.loss)
    }
    #expect(try evaluate(fixture, length: 20, tokens: 1000, ranks: 1).targets == 96)
  }
}
