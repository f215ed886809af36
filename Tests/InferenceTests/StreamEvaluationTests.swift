import Checkpoints
import Configuration
import Corpora
import Foundation
import MessagePassing
import SequenceParallel
import Reporting
import TemporaryFolders
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

  // MARK: Positions, masks and experts

  /// Two files of tokens below 17, the first of 61 tokens in three documents, the second of 97 in one.
  private static let files = [61, 97].map { count in (0..<count).map { Int32($0 * $0 % 17) } }
  private static let starts = [[0, 7, 41], [0]]
  /// Tokens of the first file that are not predicted.
  private static let masked = 11...14

  /// What evaluations of both files give, where some tokens are masked.
  private func result(
    _ fixture: Fixture, length: Int, tokens: Int? = nil, ranks: Int, masks: Bool = true
  ) throws -> StreamEvaluation.Result {
    let folder = try TemporaryFolder()
    var data = DataSection()
    data.tokenBytes = .two
    for (index, tokens) in Self.files.enumerated() {
      let bytes: [UInt8] = tokens.flatMap { [UInt8($0), 0] as [UInt8] }
      let path = try folder.write("\(index).bin", Data(bytes))
      data.path.append(WeightedPath(path: path))
      let offsets = Self.starts[index].flatMap { start in
        withUnsafeBytes(of: UInt64(start).littleEndian) { Array($0) }
      }
      data.documents.append(try folder.write("documents\(index)", Data(offsets)))
      guard masks else { continue }
      let mask = tokens.indices.map {
        UInt8(index == 0 && Self.masked.contains($0) ? 0 : 1)
      }
      data.lossMask.append(try folder.write("mask\(index)", Data(mask)))
    }
    let (shared, parallel) = (data, ParallelSection())
    return try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
      try StreamEvaluation(
        modelFolder: fixture.file(), data: shared, length: length, tokens: tokens,
        parallel: parallel, world: world, workspace: Workspace()
      ).run(byPosition: true)
    }[0]
  }

  /// The loss at each place of a document read alone, from its logits in Double, and the objective of the whole.
  private func losses(_ fixture: Fixture, _ tokens: [Int32]) throws -> (
    losses: [Double], objective: Double
  ) {
    let folder = try TemporaryFolder()
    let header = Data(
      """
      {"input_ids":{"dtype":"I32","shape":[1,\(tokens.count)],"data_offsets":[0,\(4 * tokens.count)]}}
      """.utf8)
    let length = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Data($0) }
    try folder.write("tokens", length + header + tokens.withUnsafeBytes { Data($0) })
    let objective = try TokenEvaluation(
      modelFolder: fixture.file(), gradients: false, world: SoloCommunicator(),
      workspace: Workspace()
    ).run(tokens: folder.file("tokens"), output: folder.file("logits"))
    let logits = try SafetensorsFile(path: folder.file("logits")).readFloats("logits")
      .map(Double.init)
    let vocabulary = logits.count / tokens.count
    let losses = (1..<tokens.count).map { place in
      let row = logits[(place - 1) * vocabulary..<place * vocabulary]
      let most = row.max()!
      return log(row.reduce(0) { $0 + exp($1 - most) }) + most
        - row[row.startIndex + Int(tokens[place])]
    }
    return (losses, objective)
  }

  @Test("Losses by position are those of each document read alone, whatever the windows and ranks")
  func positions() throws {
    for name in ["gla_plain", "llama_plain"] {
      let fixture = try #require(Fixture.all.first { $0.testDescription == name })
      var expected = PositionSums(longest: 96)
      for (file, starts) in zip(Self.files.indices, Self.starts) {
        let tokens = Self.files[file]
        for (start, end) in zip(starts, starts.dropFirst() + [tokens.count]) {
          let losses = try losses(fixture, Array(tokens[start..<end])).losses
          for (index, loss) in losses.enumerated()
          where file > 0 || !Self.masked.contains(start + index + 1) {
            expected.add(after: index + 1, loss: Float(loss), bytes: 0)
          }
        }
      }
      for (length, ranks) in [(100, 1), (100, 3), (7, 1), (20, 3), (13, 4), (3, 5)] {
        let found = try #require(try result(fixture, length: length, ranks: ranks).positions)
        #expect(found.bins.map(\.targets) == expected.bins.map(\.targets))
        for (bin, right) in zip(found.bins, expected.bins) {
          #expect(
            abs(bin.loss - right.loss) <= 1e-5 * right.loss, "windows of \(length), \(ranks) ranks")
        }
      }
    }
  }

  @Test("The table and the JSON have every bin with its range, and their sums are the whole's")
  func table() throws {
    let fixture = try #require(Fixture.all.first { $0.testDescription == "gla_plain" })
    let result = try result(fixture, length: 20, ranks: 2)
    let bins = try #require(result.positions).bins
    #expect(bins.map(\.targets).reduce(0, +) == result.sums.targets)
    #expect(abs(bins.map(\.loss).reduce(0, +) - result.sums.loss) < 1e-9 * result.sums.loss)
    let json = result.json(model: "m", paths: ["a"], ranks: 2).value
    let positions = try #require(json["positions"]?.array)
    #expect(positions.map { $0["from"]?.integer } == [1, 2, 4, 8, 16, 32, 64])
    #expect(positions.map { $0["to"]?.integer } == [1, 3, 7, 15, 31, 63, 127])
    #expect(positions.map { $0["tokens"]?.integer } == bins.map(\.targets))
    #expect(json["bits_per_byte"] == .null && json["bytes"] == .null)
    let lines = result.description.split(separator: "\n")
    #expect(lines.count == 3 + 7)
    #expect(lines.last?.hasPrefix("64 – 127") == true)
    #expect(Set(lines.dropFirst(2).map(\.count)).count == 1)
  }

  @Test("As many tokens are predicted as are asked for where documents and a mask leave some out")
  func targets() throws {
    let fixture = try #require(Fixture.all.first { $0.testDescription == "gla_plain" })
    // Of the first file 60 follow another, two begin documents and four are masked.
    for tokens in [1, 6, 7, 30, 54, 55, 100, 150, 1000] {
      for (length, ranks) in [(20, 1), (16, 3)] {
        let sums = try result(fixture, length: length, tokens: tokens, ranks: ranks).sums
        #expect(sums.targets == min(tokens, 54 + 96), "\(tokens) tokens, \(ranks) ranks")
      }
    }
  }

  @Test(
    "Where tokens choose among experts, the objective has its terms, whatever the windows and ranks"
  )
  func experts() throws {
    for name in ["gla_experts", "mixtral_balanced_window", "qwen2_moe_plain"] {
      let fixture = try #require(Fixture.all.first { $0.testDescription == name })
      let path = NSTemporaryDirectory() + "lasp-\(UUID().uuidString)"
      defer { try? FileManager.default.removeItem(atPath: path) }
      let tokens = (0..<60).map { Int32($0 * $0 % 17) }
      try Data(tokens.map { UInt8($0) } + [3]).write(to: URL(fileURLWithPath: path))
      var data = DataSection()
      data.path = [WeightedPath(path: path)]
      let shared = data
      // The same tokens are read, of which the last has no target here.
      let (losses, objective) = try losses(fixture, tokens)
      let added = objective - losses.reduce(0, +) / Double(losses.count)
      #expect(added > 1e-4)
      for (length, ranks) in [(60, 1), (60, 3), (25, 1), (16, 2), (7, 5)] {
        let result = try ThreadCommunicator.run(ranks: ranks, deadline: 60) { world in
          try StreamEvaluation(
            modelFolder: fixture.file(), data: shared, length: length,
            parallel: ParallelSection(), world: world, workspace: Workspace()
          ).run()
        }[0]
        let sums = result.sums
        #expect(sums.targets == 60)
        #expect(
          abs(sums.objective - sums.meanLoss - added) < 2e-5, "\(name), \(length), \(ranks) ranks")
        #expect(result.description.contains("\nobjective "))
        #expect(result.json(model: "", paths: [], ranks: 1).value["terms"]?["load_balance"] != nil)
      }
    }
  }
}
