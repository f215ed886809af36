import Configuration
import Testing

@testable import Corpora

@Suite("What all generated tasks have in common")
struct TaskCorpusTests {
  /// Keys of every task, some with documents.
  static let tasks = [
    ["task=recall"], ["task=mqar"], ["task=copy"], ["task=parity"],
    ["task=parity", "parity.longest=7"],
    ["task=s5", "s5.longest=9"], ["task=s5", "s5.moves=swaps"], ["task=modular"],
    ["task=modular", "modular.longest=11"], ["task=needle", "needle.pairs=3"],
  ]

  private func corpus(
    _ keys: [String], length: Int = 64, batch: Int = 3, seed: UInt64 = 1
  ) throws -> any TaskCorpus {
    try section(keys).makeTask(length: length, batch: batch, seed: seed)
  }

  @Test("Every task is among those that are tried here, and has a name of its own")
  func complete() {
    #expect(Set(Self.tasks.map { $0[0] }) == Set(Tasks.names.map { "task=\($0)" }))
    #expect(Set(Tasks.names).count == Tasks.all.count)
  }

  @Test("Any part of a batch is a part of the whole one", arguments: tasks)
  func partitions(keys: [String]) throws {
    let task = try corpus(keys)
    let whole = try task.whole(5)
    #expect(whole.targets.contains { $0 >= 0 })
    let parts = [
      (0..<3, 0..<16), (0..<3, 16..<64), (1..<2, 10..<40), (2..<3, 63..<64), (0..<3, 9..<9),
    ]
    for (rows, positions) in parts {
      var part = TokenBatch(rows: rows, positions: positions)
      try task.fill(&part, step: 5)
      let indices = rows.flatMap { row in positions.map { row * 64 + $0 } }
      #expect(part.inputs == indices.map { whole.inputs[$0] })
      #expect(part.targets == indices.map { whole.targets[$0] })
      #expect(part.origins == indices.map { whole.origins[$0] })
      #expect(part.documentStarts == Array(whole.documentStarts[rows]))
    }
  }

  @Test("A row is a function of the seed and its number in the run", arguments: tasks)
  func samples(keys: [String]) throws {
    let task = try corpus(keys)
    let first = try task.whole(0).inputs
    #expect(try first == corpus(keys).whole(0).inputs)
    #expect(try first != task.whole(1).inputs)
    #expect(try first != corpus(keys, seed: 2).whole(0).inputs)
    // Rows 3, 4, 5 of the run, whichever batches they come in.
    let pairs = try corpus(keys, batch: 1)
    #expect(try task.whole(1).inputs == (3..<6).flatMap { try pairs.whole($0).inputs })
  }

  @Test("What is held out has sequences of its own", arguments: tasks)
  func heldOut(keys: [String]) throws {
    let task = try corpus(keys)
    let heldOut = try #require(task.heldOut)
    #expect(try heldOut.whole(0).inputs != task.whole(0).inputs)
    #expect(heldOut.steps == nil && task.steps == nil && !task.tokensAreBytes)
  }

  @Test("Tokens, targets and origins are what they say they are", arguments: tasks)
  func ranges(keys: [String]) throws {
    let task = try corpus(keys, batch: 8)
    for step in 0..<5 {
      let batch = try task.whole(step)
      #expect(batch.inputs.allSatisfy { (0..<Int32(task.vocabulary)).contains($0) })
      for index in batch.targets.indices {
        let (target, origin) = (batch.targets[index], Int(batch.origins[index]))
        #expect(target < task.vocabulary && (target < 0) == (origin < 0))
        #expect(origin <= index % 64)
      }
    }
  }

  @Test(
    "Each answer is right as often as chance says, so that none is a better guess", arguments: tasks
  )
  func chance(keys: [String]) throws {
    let task = try corpus(keys, batch: 250)
    // Of each sequence the last answer: answers of one sequence hang together.
    var counts: [Int32: Int] = [:]
    for step in 0..<8 {
      let batch = try task.whole(step)
      for row in 0..<250 {
        let targets = batch.targets[row * 64..<(row + 1) * 64]
        if let last = targets.last(where: { $0 >= 0 }) { counts[last, default: 0] += 1 }
      }
    }
    let all = Double(counts.values.reduce(0, +))
    let expected = all * task.chance
    // Swaps: the even ones have another parity than the odd ones, and lengths here are even.
    #expect(counts.count <= Int((1 / task.chance).rounded()))
    #expect(
      counts.values.allSatisfy { abs(Double($0) - expected) < 5 * expected.squareRoot() + 1 })
  }

  @Test(
    "What does not fit is refused, with the key",
    arguments: [
      (
        ["task=mqar", "mqar.pairs=17"],
        "68 tokens for 17 pairs and their queries; lower data.mqar.pairs"
      ),
      (
        ["task=copy", "copy.tokens=33"],
        "66 tokens for 33 tokens and as many markers; lower data.copy.tokens"
      ),
      (
        ["task=needle", "needle.pairs=32", "needle.keys=40"],
        "65 tokens for 32 pairs and the query; lower data.needle.pairs"
      ),
    ])
  func tooShort(keys: [String], words: String) throws {
    let error = try #require(throws: CorpusError.self) { try corpus(keys) }
    #expect("\(error)".contains(words))
    #expect("\(error)".hasPrefix("a sequence.length of 64 is too short for the "))
  }

  @Test(
    "Keys that contradict each other are refused",
    arguments: [
      (["task=mqar", "mqar.pairs=9", "mqar.keys=8"], "data.mqar.pairs", "9 pairs need as many"),
      (["task=mqar", "mqar.fewest=9"], "data.mqar.fewest", "9 pairs or more, and 8 at most"),
      (["task=needle", "needle.pairs=17"], "data.needle.pairs", "17 pairs need as many"),
      (
        ["task=s5", "s5.shortest=9", "s5.longest=8"], "data.s5.longest",
        "the longest document has 8 tokens and the shortest 9"
      ),
      (["task=copy", "mqar.pairs=3"], "data.mqar.pairs", "the task copy does not have it"),
      (["parity.longest=3"], "data.parity.longest", "the task recall does not have it"),
    ])
  func contradictions(keys: [String], key: String, words: String) throws {
    let error = try #require(throws: ConfigurationError.self) { try section(keys) }
    #expect("\(error)".contains(key) && "\(error)".contains(words))
  }

  @Test("A text that is too short to hide a pair in is refused, with the key")
  func shortText() throws {
    let folder = try DataFolder()
    let path = try folder.write("text.txt", "short".utf8)
    let error = try #require(throws: CorpusError.self) {
      try corpus(["task=needle", "needle.path=\(path)"])
    }
    #expect("\(error)".contains("has 5 bytes, but a sequence takes 63 of it"))
    #expect("\(error)".contains("data.needle.path"))
  }
}
